"""A session in a file: private, whole, and locked for everybody who uses it."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from limen.client import FileStore, Kept, StoreUnusable, Tokens

SESSION = Kept(
    Tokens("an access token", "a refresh token", 1.5, 1800, "an account", "a retry key"),
    "a device",
    "https://limen.test",
)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "of its own" / "session")


def test_what_was_saved_is_loaded(store: FileStore) -> None:
    assert store.load() == Kept()
    for kept in (SESSION, Kept(device="a device"), Kept()):
        store.save(kept)
        assert FileStore(store.path).load() == kept


def test_only_the_owner_can_read_it(store: FileStore) -> None:
    former = os.umask(0)
    try:
        store.save(SESSION)
        release = store.try_lock()
    finally:
        os.umask(former)
    assert release is not None
    release()

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store.path.parent.iterdir()}
    assert modes == {"session": 0o600, "session.lock": 0o600}
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o666, 0o610])
def test_a_file_that_others_may_use_is_refused(store: FileStore, mode: int) -> None:
    store.save(SESSION)
    store.path.chmod(mode)

    with pytest.raises(StoreUnusable, match=r"chmod 600 .*session"):
        store.load()


def test_a_link_or_a_pipe_is_refused(store: FileStore, tmp_path: Path) -> None:
    store.save(SESSION)
    link, pipe = tmp_path / "link", tmp_path / "pipe"
    link.symlink_to(store.path)
    os.mkfifo(pipe, 0o600)

    for path in (link, pipe):
        with pytest.raises(StoreUnusable):
            FileStore(path).load()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 60_000,
        json.dumps({"version": 2, "tokens": None, "device": None, "issuer": None}).encode(),
        json.dumps({"version": 1, "tokens": None}).encode(),
        json.dumps({"version": 1, "tokens": None, "device": 1, "issuer": None}).encode(),
        json.dumps({"version": 1, "tokens": None, "device": None}).encode(),
        json.dumps({"version": 1, "tokens": None, "device": None, "issuer": 1}).encode(),
        json.dumps(
            {"version": 1, "tokens": {"access_token": "a"}, "device": None, "issuer": None}
        ).encode(),
    ],
)
def test_a_damaged_file_is_an_error_and_stays_as_it_is(store: FileStore, content: bytes) -> None:
    store.save(Kept())
    store.path.write_bytes(content)

    with pytest.raises(StoreUnusable, match=r"damaged.*Move it away"):
        store.load()
    assert store.path.read_bytes() == content


@pytest.mark.parametrize(
    "member", ["access_token", "refresh_token", "received_at", "expires_in", "account"]
)
def test_a_member_of_another_kind_is_damage(store: FileStore, member: str) -> None:
    store.save(SESSION)
    document = json.loads(store.path.read_bytes())
    document["tokens"][member] = None
    store.path.write_text(json.dumps(document))

    with pytest.raises(StoreUnusable, match="damaged"):
        store.load()


def test_a_save_that_fails_leaves_what_was_there(store: FileStore) -> None:
    store.save(SESSION)
    former = store.path.stat()
    # For this process alone no file may grow: to it, the disk is full.
    script = (
        "import resource, signal, sys; from limen.client import *\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "try: FileStore(sys.argv[1]).save(Kept(device='other'))\n"
        "except StoreUnusable as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(store.path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert "File too large" in run.stdout
    assert store.load() == SESSION
    assert store.path.stat().st_ino == former.st_ino
    assert [path.name for path in store.path.parent.iterdir()] == ["session"]


def test_the_lock_is_one_for_all_who_name_the_file(store: FileStore) -> None:
    other = FileStore(store.path)
    release = store.try_lock()

    assert release is not None
    assert store.try_lock() is None
    assert other.try_lock() is None
    release()
    again = other.try_lock()
    assert again is not None
    again()


def test_a_killed_process_gives_its_lock_back(store: FileStore) -> None:
    script = (
        "import sys, time; from limen.client import FileStore\n"
        "release = FileStore(sys.argv[1]).try_lock(); print('locked', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(store.path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        assert store.try_lock() is None
        process.kill()
    release = store.try_lock()

    assert release is not None
    release()


def test_no_directory_and_no_permission_are_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = FileStore(tmp_path / "file" / "session")

    for use in (store.load, store.try_lock, lambda: store.save(SESSION)):
        with pytest.raises(StoreUnusable, match="cannot be read, written or locked"):
            use()


def test_the_home_directory_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert repr(FileStore("~/session")) == f"FileStore('{tmp_path}/session')"


def test_a_directory_and_a_file_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnusable, match="is no file"):
        FileStore(tmp_path).load()
    with pytest.raises(StoreUnusable, match="cannot be read"):
        FileStore("/proc/self/mem").load()  # private, regular, and EIO where nothing is mapped


def test_what_a_killed_writer_left_goes_with_the_next_save_under_the_lock(store: FileStore) -> None:
    store.save(SESSION)
    directory = store.path.parent
    left = directory / f".session-{'0' * 16}"
    others = {directory / ".session-more", directory / f".other-{'0' * 16}"}
    for path in (left, *others):
        path.write_text("tokens")

    store.save(SESSION)
    assert left.exists()  # somebody may be writing it, for all we know
    release = store.try_lock()
    assert release is not None
    store.save(SESSION)
    release()

    assert not left.exists()
    assert all(path.exists() for path in others)
    assert store.load() == SESSION


def test_a_forked_child_neither_holds_the_lock_nor_gives_it_back(store: FileStore) -> None:
    # In a program of its own: pytest has threads, which do not go well with forks.
    script = (
        "import os, sys, time; from limen.client import FileStore\n"
        "store = FileStore(sys.argv[1]); release = store.try_lock()\n"
        "if not os.fork():\n"
        "    release(); print('child has it' if store.try_lock() else 'locked', flush=True)\n"
        "    sys.stdin.read(); os._exit(0)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(store.path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert (
            process.stdout.readline() == "locked\n"
        )  # by the parent, and the child changed nothing
        assert store.try_lock() is None
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        release = store.try_lock()  # though the child is still there

    assert release is not None
    release()

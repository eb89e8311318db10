"""The root secret: where it comes from, what is derived from it, and who else can read it."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from limen.errors import ConfigurationError
from limen.secret import RootSecret, parse_secrets

SECRET = "Zk3v9-QmT0xWc7_RyLb2NdHs5FgJpUeA1iXoM4tB6Vw"
OLDER = "qP8rKz_1LwYhC3mXvT6bNs0JdGf9RuEa-5oWi2Hk7Qy"


def made_in(data_dir: Path) -> RootSecret:
    return RootSecret.load(None, data_dir)


def refused(data_dir: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        made_in(data_dir)
    assert caught.value.variable == "LIMEN_DATA_DIR"
    return str(caught.value)


def write(data_dir: Path, content: bytes, mode: int = 0o600) -> Path:
    path = data_dir / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_the_first_start_makes_a_secret_that_the_second_finds(tmp_path: Path) -> None:
    data_dir = tmp_path / "new" / "limen-data"
    first, second = made_in(data_dir), made_in(data_dir)

    assert first.derive("a purpose") == second.derive("a purpose")
    assert first.path == data_dir / "secret"
    assert stat.S_IMODE(first.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert os.listdir(data_dir) == ["secret"]  # noqa: PTH208  the names alone


def test_two_installations_have_different_secrets(tmp_path: Path) -> None:
    assert made_in(tmp_path / "a").derive("a") != made_in(tmp_path / "b").derive("a")


def test_processes_that_start_at_once_end_with_the_same_secret(tmp_path: Path) -> None:
    """Each waits for one line before it begins, so that all begin together."""
    program = (
        "import sys; from pathlib import Path; from limen.secret import RootSecret;"
        "print('ready', flush=True); sys.stdin.readline();"
        "print(RootSecret.load(None, Path(sys.argv[1])).derive('a').hex())"
    )
    argv = [sys.executable, "-c", program, str(tmp_path / "data")]
    starts = [
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    for start in starts:
        assert start.stdout is not None
        assert start.stdout.readline() == "ready\n"
    for start in starts:
        assert start.stdin is not None
        start.stdin.write("\n")
        start.stdin.flush()
    keys = {start.communicate()[0] for start in starts}

    assert len(keys) == 1
    assert len(keys.pop()) == 65
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret"]


def test_the_file_holds_what_the_setting_would_hold(tmp_path: Path) -> None:
    from_file = made_in(tmp_path)
    text = (tmp_path / "secret").read_text().rstrip("\n")
    from_setting = RootSecret.load((text,), tmp_path / "never made")

    assert from_setting.derive("a") == from_file.derive("a")
    assert from_setting.path is None
    assert not (tmp_path / "never made").exists()


def test_the_setting_comes_before_the_file(tmp_path: Path) -> None:
    made_in(tmp_path)

    assert RootSecret.load((SECRET,), tmp_path) == RootSecret.load((SECRET,), tmp_path / "other")


def test_the_newest_secret_seals_and_every_one_opens(tmp_path: Path) -> None:
    old = RootSecret.load((OLDER,), tmp_path)
    both = RootSecret.load((SECRET, OLDER), tmp_path)

    assert both.derive("a") == RootSecret.load((SECRET,), tmp_path).derive("a")
    assert both.derive_all("a") == (both.derive("a"), old.derive("a"))


def test_each_purpose_has_a_key_of_its_own(tmp_path: Path) -> None:
    secret = RootSecret.load((SECRET,), tmp_path)

    assert len({secret.derive("a"), secret.derive("b"), SECRET.encode()[:32]}) == 3
    assert len(secret.derive("a", 64)) == 64


def test_what_is_derived_never_changes(tmp_path: Path) -> None:
    """Another value here would end every session and lose every signing key."""
    derived = RootSecret.load((SECRET,), tmp_path).derive("a purpose").hex()

    assert derived == "a23ee1b29598c6f5f93629001400bdf996babed95ef5daa42df5990c1f5673dc"


def test_the_secret_is_never_shown(tmp_path: Path) -> None:
    shown = repr(RootSecret.load((SECRET,), tmp_path))

    assert SECRET not in shown
    assert shown == "RootSecret(path=None)"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o644, 0o777], ids=oct)
def test_a_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    path = write(tmp_path, SECRET.encode(), mode)

    assert f"chmod 600 {path}" in refused(tmp_path)
    path.chmod(0o600)
    assert made_in(tmp_path).path == path


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"hunter2", SECRET.encode() + b"\n\nhunter2", b"\xff" * 40, b"\0" * 40],
    ids=["empty", "a line end", "short", "two lines", "not UTF-8", "NUL"],
)
def test_a_spoilt_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)

    assert "hunter2" not in refused(tmp_path)
    assert path.read_bytes() == content


def test_a_link_is_refused_wherever_it_leads(tmp_path: Path) -> None:
    (tmp_path / "target").write_text(SECRET)
    (tmp_path / "target").chmod(0o600)
    for target in ("target", "nowhere"):
        (tmp_path / "secret").unlink(missing_ok=True)
        (tmp_path / "secret").symlink_to(target)

        assert "is a symbolic link" in refused(tmp_path)
    assert not (tmp_path / "nowhere").exists()


def test_a_pipe_or_a_directory_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "secret", 0o600)
    assert "no file" in refused(tmp_path)

    (tmp_path / "secret").unlink()
    (tmp_path / "secret").mkdir(0o700)
    assert "no file" in refused(tmp_path)


def test_a_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    assert "cannot be made a directory (File exists)" in refused(tmp_path / "data")


def test_random_secrets_are_accepted() -> None:
    """Thousands of each kind that people make; random digits are the worst case."""
    for _ in range(500):
        for size in (32, 48, 64):
            parse_secrets(os.urandom(size).hex())
            parse_secrets(os.urandom(size // 2).hex())
    parse_secrets(
        "Größenwahn, Übermut und Jähzorn: drei Wörter zu je zwei Punkten".replace(",", "")
    )

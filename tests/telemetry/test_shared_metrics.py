"""What workers count is added up, and what those who have ended counted is kept."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from limen.telemetry.shared_metrics import SharedMetrics, everybodys, in_turn, shared_folder
from tests.cli.processes import until

# prometheus_client decides when it is imported, so each worker here is a process.
WORKER = """
import sys
from limen import events
from limen.telemetry.metrics import Metrics
metrics = Metrics(limits=["login"], version=sys.argv[1])
metrics.watch_password_queue(lambda: 3)
for _ in range(int(sys.argv[2])):
    metrics.subscriber(events.Registered("u1"))
    metrics.subscriber(events.PasswordHashed(waited=0.3, took=0.06))
print(metrics.render()[0].decode())
"""


def work(shared: SharedMetrics, version: str, times: int) -> tuple[int, str]:
    """Have a worker count so often and end; return its pid and what it would show."""
    words = [sys.executable, "-W", "error", "-c", WORKER, version, str(times)]
    environment = dict(os.environ, **shared.environment)
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        shown = process.communicate()[0]
    assert process.returncode == 0
    return process.pid, shown


def folder(shared: SharedMetrics) -> Path:
    (name,) = shared.environment.values()
    return Path(name)


def test_the_living_and_the_ended_are_counted_together() -> None:
    with SharedMetrics() as shared:
        first, shown = work(shared, "1.0.0", 2)
        assert "limen_registrations_total 2.0" in shown
        assert "limen_password_queue_waiting 3.0" in shown
        assert 'limen_build_info{version="1.0.0"} 1.0' in shown
        assert 'limen_sign_ins_total{outcome="success"} 0.0' in shown
        shared.let_go(first)
        second, shown = work(shared, "1.0.1", 5)
        assert "limen_registrations_total 7.0" in shown
        assert 'limen_password_hash_seconds_bucket{le="0.1"} 7.0' in shown
        assert "limen_password_hash_seconds_count 7.0" in shown
        assert "limen_password_queue_waiting 3.0" in shown
        assert "1.0.0" not in shown

        shared.let_go(second)
        ended = everybodys(folder(shared))
        assert ended.get_sample_value("limen_registrations_total") == 7
        assert {file.name for file in folder(shared).iterdir()} == {
            "counter_ended.db",
            "histogram_ended.db",
            "limen.gate",
            "limen.lock",
        }


def test_what_is_kept_of_the_ended_does_not_grow() -> None:
    with SharedMetrics() as shared:
        sizes = []
        for _ in range(4):
            pid, _ = work(shared, "1.0.0", 1)
            shared.let_go(pid)
            sizes.append(sum(file.stat().st_size for file in folder(shared).iterdir()))

    assert sizes[1] == sizes[2] == sizes[3]


def test_while_somebody_reads_nothing_is_added_up_and_nobody_waits() -> None:
    with SharedMetrics() as shared:
        counted, expected = folder(shared) / "counter_ended.db", {"limen_registrations_total": 1}
        first, _ = work(shared, "1.0.0", 1)
        with in_turn(folder(shared)):
            shared.let_go(first)
            assert not counted.exists()
        shared.let_go(0)

        ended = everybodys(folder(shared))
        assert counted.exists()
        assert {name: ended.get_sample_value(name) for name in expected} == expected


def test_a_worker_killed_before_it_counted_spoils_nothing() -> None:
    with SharedMetrics() as shared:
        (folder(shared) / "counter_17.db").touch()
        shared.let_go(17)

        assert not (folder(shared) / "counter_17.db").exists()
        assert list(everybodys(folder(shared)).collect()) == []


def test_the_folder_is_ours_alone_and_goes_with_us() -> None:
    with SharedMetrics() as shared:
        place = folder(shared)
        assert place.stat().st_mode & 0o777 == 0o700
    assert not place.exists()


def test_somebody_elses_folder_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert shared_folder() is None


def test_many_read_at_once() -> None:
    with SharedMetrics() as shared, in_turn(folder(shared), fcntl.LOCK_SH):
        with in_turn(folder(shared), fcntl.LOCK_SH | fcntl.LOCK_NB):
            pass
        with pytest.raises(BlockingIOError), in_turn(folder(shared), fcntl.LOCK_EX | fcntl.LOCK_NB):
            pass


def test_a_writer_who_waits_lets_no_further_reader_in() -> None:
    """Or many readers, one beginning before another ends, could keep him out for ever."""
    wrote = threading.Event()

    def write() -> None:
        with in_turn(folder(shared)):
            wrote.set()

    def is_let_in() -> bool:
        try:
            with in_turn(folder(shared), fcntl.LOCK_SH | fcntl.LOCK_NB):
                return True
        except BlockingIOError:
            return False

    with SharedMetrics() as shared:
        writer = threading.Thread(target=write)
        with in_turn(folder(shared), fcntl.LOCK_SH):
            writer.start()
            until(lambda: not is_let_in())
            assert not wrote.is_set()
        writer.join()
        assert wrote.is_set()


def test_what_cannot_be_let_go_is_left_and_harms_nobody() -> None:
    with SharedMetrics() as shared:
        (folder(shared) / "gauge_livesum_17.db").mkdir()  # no file, so it cannot be removed
        shared.let_go(17)


def test_a_folder_that_all_were_killed_in_is_removed_at_the_next_start() -> None:
    """Not while a worker lives, though its supervisor does not."""
    code = "import time; from limen.telemetry.shared_metrics import SharedMetrics as S; s = S()\n"
    code += "import subprocess, sys; print(*s.environment.values(), flush=True)\n"
    code += "words = [sys.executable, '-c', 'input()']\n"
    code += "subprocess.Popen(words, pass_fds=[s.held]).wait()"
    words = [sys.executable, "-W", "error", "-c", code]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdin is not None
        assert supervisor.stdout is not None
        left = Path(supervisor.stdout.readline().strip())
        children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children")
        until(lambda: children.read_text() != "")
        supervisor.kill()
        supervisor.wait()
        with SharedMetrics():
            assert left.exists()
        supervisor.stdin.close()  # the worker ends

        def is_removed() -> bool:
            with SharedMetrics() as shared:
                assert folder(shared).exists()
            return not left.exists()

        until(is_removed)


def test_what_is_no_folder_of_ours_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("limen.telemetry.shared_metrics._IN_MEMORY", tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    (tmp_path / "limen-metrics-link").symlink_to(kept)
    (tmp_path / "limen-metrics-file").touch()
    (tmp_path / "limen-metrics-left").mkdir()
    with SharedMetrics():
        pass

    names = {"kept", "limen-metrics-link", "limen-metrics-file"}
    assert {path.name for path in tmp_path.iterdir()} == names

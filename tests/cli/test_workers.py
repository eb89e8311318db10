"""`limen serve --workers 2` as its operator has it: killed, restarted and stopped under requests.

Clients open a connection for each request: one that is idle may be closed by any server at any
time, and every client of HTTP/1.1 has to know what to do then.
"""

import json
import os
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx2
import jwt
import pytest

from limen.cli import listener
from limen.cli.worker import PATIENCE_SECONDS
from limen.database.address import sqlite_path
from limen.telemetry.shared_metrics import SharedMetrics
from tests.cli.processes import COMMAND, SECONDS, Server, environment, run, serving, until
from tests.people import AUTH, PASSWORD
from tests.postgresql import Databases

ADA = {"email": "ada@example.com", "password": PASSWORD}
TWO = ("--workers", "2")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Two workers, and ada's account; later tests find the workers that earlier ones have left."""
    data = tmp_path_factory.mktemp("served") / "data"
    with ExitStack() as stack:
        url = f"sqlite:///{data}/limen.db"
        if request.param == "postgresql":
            databases: Databases = request.getfixturevalue("postgresql")
            url = stack.enter_context(databases.migrated())
        server = stack.enter_context(serving(data, *TWO, LIMEN_DATABASE_URL=url))
        stack.callback(stop, server)
        with client(server) as http:
            assert http.post(f"{AUTH}/register", json=ADA).status_code == 201
        yield server


def client(server: Server) -> httpx2.Client:
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.Client(
        base_url=server.url, trust_env=False, verify=False, timeout=SECONDS, limits=limits
    )


def stop(server: Server) -> None:
    server.process.terminate()
    assert server.process.wait(PATIENCE_SECONDS) == 0


def events(server: Server, name: str) -> list[int]:
    """The pids of the workers of which this was logged."""
    return [line["pid"] for line in server.log if line["event"] == name and "pid" in line]


def living(server: Server) -> set[int]:
    """The workers that serve."""
    return {pid for pid in events(server, "worker serving") if is_alive(pid)}


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # Without a parent, nobody may be there to take note of its end.
    return "\nState:\tZ" not in _status(pid)


def answered(server: Server) -> dict[str, int]:
    """Which worker answered, by the ids of the requests."""
    return {line["request_id"]: line["pid"] for line in server.log if line["event"] == "request"}


@contextmanager
def alone(server: Server, pid: int) -> Iterator[httpx2.Client]:
    """A client whom only this worker can answer: the others hold their breath."""
    others = living(server) - {pid}
    _tell(others, signal.SIGSTOP)
    while _is_locked(server):  # by one that was in the midst of writing, and would not let go
        _tell(others, signal.SIGCONT)
        time.sleep(0.01)
        _tell(others, signal.SIGSTOP)
    try:
        with client(server) as http:
            yield http
    finally:
        _tell(others, signal.SIGCONT)


def _tell(workers: set[int], number: signal.Signals) -> None:
    for worker in workers:
        os.kill(worker, number)
    if number == signal.SIGSTOP:
        until(lambda: all("\nState:\tT" in _status(worker) for worker in workers))


def _status(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def _is_locked(server: Server) -> bool:
    path = sqlite_path(database(server))
    if path is None:
        return False  # each row has a lock of its own
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


def shown_by(server: Server, pid: int) -> str:
    with alone(server, pid) as http:
        return http.get("/metrics").text


def folder(pid: int) -> Path:
    """Where a worker counts."""
    return Path(environment_of(pid)["PROMETHEUS_MULTIPROC_DIR"])


def database(server: Server) -> str:
    return environment_of(server.process.pid)["LIMEN_DATABASE_URL"]


def environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_text().rstrip("\0").split("\0")
    return dict(entry.split("=", 1) for entry in entries)


def counted(metrics: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)$", metrics, re.MULTILINE)
    return float(found[1]) if found else 0


def test_both_workers_answer(server: Server) -> None:
    pids = living(server)
    for pid in pids:
        with alone(server, pid) as http:
            assert http.get("/healthz", headers={"X-Request-ID": f"worker-{pid}"}).is_success

    assert len(pids) == 2
    expected = {f"worker-{pid}": pid for pid in pids}
    until(lambda: expected.items() <= answered(server).items())  # logged when the answer has gone


def test_the_workers_share_the_cores_they_hash_with(server: Server) -> None:
    share = max(1, len(os.sched_getaffinity(0)) // 2)

    for pid in living(server):
        assert environment_of(pid)["LIMEN_HASH_THREADS"] == str(share)


def test_a_session_ended_through_one_is_refused_by_the_other(server: Server) -> None:
    one, other = living(server)
    with alone(server, one) as http:
        access = http.post(f"{AUTH}/login", json=ADA).json()["access_token"]
        bearer = {"Authorization": f"Bearer {access}"}
    with alone(server, other) as http:
        assert http.get(f"{AUTH}/me", headers=bearer).status_code == 200

    with alone(server, one) as http:
        assert http.post(f"{AUTH}/logout", headers=bearer).status_code == 204

    def refused() -> bool:
        with alone(server, other) as http:
            return http.get(f"{AUTH}/me", headers=bearer).status_code == 401

    took = until(refused)
    print(f"refused by the other worker after {took:.2f} s")
    assert took < 5  # about one at most, on a machine that is not busy


def test_in_an_emergency_no_token_of_the_new_key_is_refused_by_any_worker(server: Server) -> None:
    """Each token is shown at once, over a connection of its own: to whichever worker takes it."""
    stop, seen = threading.Event(), []

    def hammer() -> None:
        with client(server) as http:
            tokens = http.post(f"{AUTH}/login", json=ADA).json()
            while not stop.is_set():
                body = {"refresh_token": tokens["refresh_token"]}
                tokens = http.post(f"{AUTH}/refresh", json=body).json()
                access = tokens["access_token"]
                kid = jwt.get_unverified_header(access)["kid"]
                bearer = {"Authorization": f"Bearer {access}"}
                seen.append((kid, http.get(f"{AUTH}/me", headers=bearer).status_code, bearer))

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()
    until(lambda: len(seen) > 20)
    rotated = run(
        server.data, "keys", "rotate", "--emergency", "--json", LIMEN_DATABASE_URL=database(server)
    )
    made = json.loads(rotated.stdout)["kid"]
    until(lambda: [kid for kid, *_ in seen[-20:]] == [made] * 20)
    stop.set()
    for thread in threads:
        thread.join()

    new = [status for kid, status, _ in seen if kid == made]
    late = sum(status == 401 for kid, status, _ in seen if kid != made)
    print(f"{len(new)} tokens of the new key, none refused; {late} of the old one came too late")
    assert set(new) == {200}
    (leaked,) = [bearer for kid, _, bearer in seen[:1] if kid != made]
    for pid in living(server):
        with alone(server, pid) as http:
            assert http.get(f"{AUTH}/me", headers=leaked).status_code == 401


def test_whichever_worker_is_asked_has_counted_the_requests_of_all(server: Server) -> None:
    series = 'limen_http_requests_total{method="GET",route="healthz",status="200"}'
    pids = living(server)
    with client(server) as http:
        before = counted(http.get("/metrics").text, series)
    for pid in pids:
        with alone(server, pid) as http:
            for _ in range(5):
                http.get("/healthz")

    for pid in pids:  # a request is counted when its answer has gone, so it may be a little later
        until(lambda pid=pid: counted(shown_by(server, pid), series) == before + 10)  # type: ignore[misc]
        assert "limen_build_info{" in shown_by(server, pid)


def test_a_killed_worker_is_replaced_and_what_it_had_counted_stays(server: Server) -> None:
    series = "limen_password_hash_seconds_count"
    before, (victim, other) = living(server), living(server)
    with alone(server, victim) as http:
        http.post(f"{AUTH}/login", json=ADA)
    hashes = counted(shown_by(server, victim), series)
    assert hashes > 0

    os.kill(victim, signal.SIGKILL)
    until(lambda: len(living(server) - before) == 1)

    died = [line for line in server.log if line["event"] == "worker died"]
    assert [(line["pid"], line["ended"]) for line in died] == [(victim, "SIGKILL")]
    assert counted(shown_by(server, other), series) == hashes


def test_a_restart_replaces_every_worker_and_refuses_no_request(server: Server) -> None:
    before, over = living(server), threading.Event()
    answers: list[str] = []

    def hammer() -> None:
        with client(server) as http:
            while not over.is_set():
                try:
                    answers.append(str(http.get("/readyz").status_code))
                except httpx2.TransportError as error:
                    answers.append(repr(error))
                time.sleep(0.05)

    threads = [threading.Thread(target=hammer) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        server.process.send_signal(signal.SIGHUP)
        log = server.data.parent / "log"
        until(lambda: '"restarted"' in log.read_text(), 3 * SECONDS)  # two starts and two stops
    finally:
        over.set()
        for thread in threads:
            thread.join()

    print(f"{len(answers)} requests during a restart")
    assert len(answers) > 20
    assert set(answers) == {"200"}
    assert len(living(server)) == 2
    assert not living(server) & before


def test_a_restart_that_cannot_start_a_worker_leaves_the_old_ones(tmp_path: Path) -> None:
    """The first would even start, but sign people out: it has a new secret, and they the old."""
    with serving(tmp_path / "data", *TWO) as server:
        before = living(server)
        secret, log = server.data / "secret", tmp_path / "log"
        old = secret.read_text()
        secret.write_text(f"{secrets.token_urlsafe(32)},{old}")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: '"restart given up' in log.read_text(), 2 * SECONDS)
        assert "LIMEN_SECRET: the workers that run have another" in log.read_text()
        assert "stop and start" in log.read_text()

        secret.write_text("changed")
        server.process.send_signal(signal.SIGHUP)
        until(lambda: log.read_text().count('"restart given up') == 2, 2 * SECONDS)

        assert living(server) == before
        with client(server) as http:
            assert http.get("/readyz").status_code == 200
        assert "exit code 78" in (tmp_path / "log").read_text()
        counted_in = folder(min(before))
        assert counted_in.exists()
        server.process.kill()
        server.process.wait()
        until(lambda: not any(is_alive(pid) for pid in before))
        assert not counted_in.exists()


def test_a_worker_whose_banner_nobody_read_stops_and_clears_away(tmp_path: Path) -> None:
    """Its supervisor was killed before: the line then ends with an error, and not in peace."""
    with SharedMetrics() as shared, listener.take("127.0.0.1", 0) as taken:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            descriptors = [taken.fileno(), theirs.fileno()]
            process = subprocess.Popen(
                [*COMMAND, "serve", "--worker", *map(str, descriptors)],
                env=environment(tmp_path / "data", **shared.environment),
                cwd=tmp_path,
                pass_fds=descriptors,
                stderr=subprocess.PIPE,
                text=True,
            )
            ours.settimeout(SECONDS)
            assert ours.recv(1, socket.MSG_PEEK) == b"{"
        said = process.communicate(timeout=SECONDS)[1]

        assert process.returncode == 0
        assert "Traceback" not in said
        assert not any(Path(place).exists() for place in shared.environment.values())


def test_who_was_let_in_is_answered_before_all_workers_end(tmp_path: Path) -> None:
    """One request has begun when the signal comes; the other comes on a connection just opened."""
    login = json.dumps(ADA).encode()
    head = f"POST {AUTH}/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    head += f"Content-Length: {len(login)}\r\nExpect: 100-continue\r\n\r\n"
    with serving(tmp_path / "data", *TWO) as server:
        pids = living(server)
        address = ("127.0.0.1", server.port)
        with (
            socket.create_connection(address, SECONDS) as begun,
            socket.create_connection(address, SECONDS) as opened,
        ):
            begun.sendall(head.encode())
            assert begun.recv(1024).startswith(b"HTTP/1.1 100 ")
            server.process.terminate()
            until(lambda: len(events(server, "stopping")) == 2)
            time.sleep(0.3)  # longer than it takes to close what nobody uses
            opened.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            begun.sendall(login)
            assert opened.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert begun.recv(65536).startswith(b"HTTP/1.1 401 ")

        assert server.process.wait(PATIENCE_SECONDS) == 0
        assert not any(is_alive(pid) for pid in pids)
        assert server.log[-1]["event"] == "stopped"
        assert "pid" not in server.log[-1]


def test_a_worker_that_cannot_start_says_why_once_and_ends_it_all(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    result = run(tmp_path / "data", "serve", "--port", "0", *TWO)

    assert (result.returncode, result.stdout) == (78, "")
    assert result.stderr.startswith("limen: LIMEN_DATA_DIR: ")
    assert result.stderr.count("\n") == 1


def test_a_wrong_setting_is_told_before_a_worker_is_started(tmp_path: Path) -> None:
    result = run(tmp_path / "data", "serve", "--port", "0", *TWO, LIMEN_SECRET="secret")

    assert (result.returncode, result.stdout) == (78, "")
    assert result.stderr.startswith("limen: LIMEN_SECRET: ")
    assert result.stderr.count("\n") == 1

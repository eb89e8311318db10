"""`limen serve` as its users run it: a process that starts, answers, obeys, and stops cleanly."""

import errno
import json
import re
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from limen.cli.worker import GRACEFUL_SECONDS
from tests.cli.processes import SECONDS, Server, run, serving, until
from tests.people import AUTH, PASSWORD

LOGIN = json.dumps({"email": "ada@example.com", "password": PASSWORD}).encode()
JSON = {"Content-Type": "application/json"}
HEAD = f"POST {AUTH}/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on a folder that was empty."""
    with serving(tmp_path_factory.mktemp("served") / "data") as server:
        yield server


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=server.url, trust_env=False, timeout=SECONDS) as client:
        yield client


def cpu_seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_it_makes_what_it_needs_for_this_user_alone(server: Server, http: httpx2.Client) -> None:
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").status_code == 200
    assert server.data.stat().st_mode & 0o777 == 0o700
    assert (server.data / "secret").stat().st_mode & 0o777 == 0o600


def test_it_says_who_it_is_to_nobody(http: httpx2.Client) -> None:
    headers = http.get("/healthz").headers

    assert "server" not in headers
    assert "date" in headers


def test_an_account_created_beside_it_can_sign_in(server: Server, http: httpx2.Client) -> None:
    create = ("users", "create", "ada@example.com", "--json")
    created = run(server.data, *create, stdin=f"{PASSWORD}\n")

    assert created.returncode == 0, created.stderr
    assert json.loads(created.stdout)["user_id"]
    assert created.stderr == ""
    assert http.post(f"{AUTH}/login", content=LOGIN, headers=JSON).status_code == 200


def test_an_account_disabled_beside_it_is_refused_within_about_a_second(
    server: Server, http: httpx2.Client
) -> None:
    created = run(server.data, "users", "create", "eve@example.com", stdin=PASSWORD)
    assert created.returncode == 0, created.stderr
    login = LOGIN.replace(b"ada@", b"eve@")
    tokens = http.post(f"{AUTH}/login", content=login, headers=JSON).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert http.get(f"{AUTH}/me", headers=bearer).status_code == 200

    assert run(server.data, "users", "disable", "eve@example.com").returncode == 0
    took = until(lambda: http.get(f"{AUTH}/me", headers=bearer).status_code == 401)

    print(f"refused {took:.2f} s after the command was done")
    assert took < 5  # about one, on a machine that is not busy
    assert http.post(f"{AUTH}/login", content=login, headers=JSON).status_code == 401


def test_a_key_made_beside_it_is_published_by_it(server: Server, http: httpx2.Client) -> None:
    made = json.loads(run(server.data, "keys", "rotate", "--json").stdout)
    took = until(
        lambda: (
            made["kid"] in {key["kid"] for key in http.get("/.well-known/jwks.json").json()["keys"]}
        )
    )

    assert took < 5  # about one, on a machine that is not busy


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_in_flight_is_answered_before_it_stops(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The rest of the request comes after the signal; a new connection is not taken any more."""
    before = cpu_seconds_of_children()
    began = time.monotonic()
    with serving(tmp_path / "data", LIMEN_LOG_FORMAT="json") as server:
        started = time.monotonic() - began
        with socket.create_connection(("127.0.0.1", server.port), SECONDS) as connection:
            log = tmp_path / "log"
            head = f"Content-Length: {len(LOGIN)}\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(HEAD + head.encode())
            assert connection.recv(1024).startswith(b"HTTP/1.1 100 ")
            server.process.send_signal(number)
            until(lambda: '"stopping"' in log.read_text())
            until(lambda: not _connects(server.port))
            time.sleep(0.3)  # longer than it takes when it waits for nobody
            connection.sendall(LOGIN)
            answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert server.process.wait(GRACEFUL_SECONDS) == 0
    events = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert events[0] == "database migrated"
    assert events[-1] == "stopped"
    cpu = cpu_seconds_of_children() - before
    print(f"answered {started:.2f} s after its start; {cpu:.2f} s of CPU from start to stop")


def test_whoever_waits_for_revocations_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with (
        serving(tmp_path / "data", LIMEN_LOG_FORMAT="json") as server,
        socket.create_connection(("127.0.0.1", server.port), SECONDS) as connection,
    ):
        question = f"GET {AUTH}/revocations?after=1&wait=20 HTTP/1.1\r\nHost: x\r\n\r\n"
        connection.sendall(question.encode())
        time.sleep(0.3)  # until it waits
        server.process.terminate()
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(GRACEFUL_SECONDS) == 0


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != errno.ECONNREFUSED


def test_a_port_in_use_is_told_with_a_way_out(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(tmp_path / "data", "serve", "--port", str(port))

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert f"Port {port} of 127.0.0.1 is in use" in result.stderr
    assert re.search(r"--port \d+", result.stderr)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["192.0.2.1", "x" * 70])
def test_an_address_of_another_machine_is_told_in_a_line(tmp_path: Path, host: str) -> None:
    result = run(tmp_path / "data", "serve", "--host", host, "--port", "0")

    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"limen: This machine cannot listen on {host}")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("LIMEN_ACCESS_TOKEN_LIFETIME", "half an hour"),
        ("LIMEN_SECRET", "secret"),
        ("LIMEN_PROT", "8000"),
    ],
)
def test_a_wrong_setting_stops_the_start_at_once(tmp_path: Path, variable: str, value: str) -> None:
    before = cpu_seconds_of_children()
    result = run(tmp_path / "data", "serve", "--port", "0", **{variable: value})

    assert (result.returncode, result.stdout) == (78, "")
    assert result.stderr.startswith(f"limen: {variable}: ")
    assert result.stderr.count("\n") == 1
    assert cpu_seconds_of_children() - before < 1
    assert not (tmp_path / "data").exists()


def test_a_data_directory_that_cannot_be_used_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    result = run(tmp_path / "data", "serve", "--port", "0", LIMEN_LOG_FORMAT="console")

    assert result.returncode == 78
    assert result.stderr.startswith("limen: LIMEN_DATA_DIR: ")
    assert result.stderr.count("\n") == 1

"""The examples run: each as its own docstring says, in a folder where nothing has run before."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import httpx2
import pytest

from tests.people import AUTH, PASSWORD

ROOT = Path(__file__).parents[1]
SECONDS = 20


@pytest.fixture
def http(tmp_path: Path) -> Iterator[httpx2.Client]:
    """A client of examples/mounted.py, which runs in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT), "--port", str(port)]
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("LIMEN_")},
        "LIMEN_DATA_DIR": "./limen-data",
        "LIMEN_SIGNING_ALGORITHM": "ES256",
    }
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen(
            [*command, "examples.mounted:app"],
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            with httpx2.Client(base_url=url, trust_env=False, timeout=SECONDS) as client:
                wait_for(client, process)
                yield client
        finally:
            process.terminate()
            process.wait(SECONDS)
    written = (tmp_path / "output").read_text()
    assert "Application shutdown complete" in written
    assert "Traceback" not in written


def wait_for(client: httpx2.Client, process: subprocess.Popen[bytes]) -> None:
    deadline = monotonic() + SECONDS
    while monotonic() < deadline and process.poll() is None:
        try:
            client.get("/")
        except httpx2.TransportError:
            sleep(0.05)
        else:
            return
    raise AssertionError("the example did not start")


def test_the_mounted_example_guards_its_orders(http: httpx2.Client, tmp_path: Path) -> None:
    assert http.get("/").json() == {"hello": "everybody"}
    assert http.get("/docs").status_code == 200
    for method, path in [("GET", "/orders"), ("DELETE", "/orders"), ("GET", "/nothing")]:
        refused = http.request(method, path)
        assert (refused.status_code, refused.json()["code"]) == (401, "missing_token")

    person = {"email": "ada@example.com", "password": PASSWORD}
    registered = http.post(f"{AUTH}/register", json=person)
    assert registered.status_code == 201
    tokens = http.post(f"{AUTH}/login", json=person).json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert http.get("/orders", headers=bearer).json() == {"orders of": registered.json()["user_id"]}

    refused = http.delete("/orders", headers=bearer)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert http.get("/nothing", headers=bearer).status_code == 404

    assert http.post(f"{AUTH}/logout", headers=bearer).status_code == 204
    assert http.get("/orders", headers=bearer).json()["code"] == "invalid_token"
    assert {path.name for path in (tmp_path / "limen-data").iterdir()} >= {"limen.db", "secret"}


def test_the_command_line_example_stays_signed_in_and_signs_out(
    http: httpx2.Client, tmp_path: Path
) -> None:
    """At examples/mounted.py, which has both: limen and the orders."""
    person = {"email": "ada@example.com", "password": PASSWORD}
    user_id = http.post(f"{AUTH}/register", json=person).json()["user_id"]
    url, session = str(http.base_url).rstrip("/"), tmp_path / "private" / "session"

    def orders(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {"LIMEN_URL": url, "ORDERS_URL": url, "ORDERS_SESSION": str(session)}
        return subprocess.run(
            [sys.executable, "-m", "examples.orders", *words],
            input=f"{PASSWORD}\n",
            cwd=ROOT,
            env=os.environ | environment | {"no_proxy": "*"},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    assert orders("list").stderr.startswith("orders: ")
    assert orders("sign-in", "ada@example.com").returncode == 0
    assert session.stat().st_mode & 0o777 == 0o600
    assert orders("list").stdout.strip() == str({"orders of": user_id})
    assert orders("sign-out").returncode == 0
    refused = orders("list")
    assert (refused.returncode, refused.stdout) == (1, "")

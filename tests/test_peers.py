"""The benchmarks' peers: made where they can be, said where not, and signed in at like a client."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from benchmarks.asking import sign_in_by_page
from benchmarks.bench import Bench
from benchmarks.client import Client, request
from benchmarks.environment import NODE_PACKAGES, Environment, Peers, node_environment
from benchmarks.figures import Pace, WrongAnswerError
from benchmarks.noise import Noise
from benchmarks.peers_running import PEERS, noted, signed_in
from benchmarks.population import PASSWORD
from tests.loopback import serving

PACE = Pace(cycles=1, seconds=0.0, quick=True)
NODE = "#!/bin/sh\necho v20.1.0\n"
NPM = """#!/bin/sh
echo again >> times
for package in {packages}; do
  mkdir -p node_modules/$package
  echo '{{"version": "7.0"}}' > node_modules/$package/package.json
done
"""
UNSUITED = """#!/bin/sh
echo 'npm error code EBADENGINE' >&2
echo 'npm error engine Unsupported engine' >&2
exit 1
"""


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for programs that are found before any others."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def put(programs: Path, **scripts: str) -> None:
    for name, script in scripts.items():
        (programs / name).write_text(script)
        (programs / name).chmod(0o755)


async def site(scope: Scope, receive: Receive, send: Send) -> None:
    """Sign Ada in with a cookie, in chunks, if she comes from the site's own page."""
    asked = Request(scope, receive)
    sent = await asked.json()
    if sent != {"email": "ada@example.com", "password": PASSWORD}:
        response: Response = JSONResponse({"token": "of somebody else"})
    elif asked.headers.get("origin") != "http://localhost:8000":
        response = JSONResponse({}, 403)
    else:
        response = StreamingResponse(iter(['{"tok', 'en":"t"}']), media_type="application/json")
        response.set_cookie("better-auth.session_token", "t.s%2Fg", path="/", samesite="lax")
    await response(scope, receive, send)


def test_without_node_no_peer_of_it_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert str(node_environment(tmp_path / "js")) == "none: node is not on this machine"


def test_what_npm_refuses_is_said(programs: Path, tmp_path: Path) -> None:
    put(programs, node=NODE, npm=UNSUITED)
    found = node_environment(tmp_path / "js")

    assert found.missing == "npm: code EBADENGINE; engine Unsupported engine"


def test_packages_are_installed_once_for_each_node(programs: Path, tmp_path: Path) -> None:
    home = tmp_path / "js"
    put(programs, node=NODE, npm=NPM.format(packages=" ".join(NODE_PACKAGES)))
    node_environment(home)
    found = node_environment(home)

    assert found.required == str(programs / "node")
    assert found.versions == {**dict.fromkeys(NODE_PACKAGES, "7.0"), "node": "20.1.0"}
    assert (home / "times").read_text() == "again\n"

    (home / "old").touch()
    put(programs, node=NODE.replace("20", "22"))
    node_environment(home)

    assert not (home / "old").exists()


def test_a_peer_whose_environment_is_missing_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.noise.SPIN_BYTES", 1024)
    peers = Peers(Environment(missing="no pip"), Environment(missing="no npm"))
    notes = list[str]()
    with ExitStack() as stack:
        bench = Bench(PACE, Noise(), tmp_path, peers, stack)
        for peer in PEERS:
            with noted(peer.name, notes):
                stack.enter_context(peer.serve(bench))

    assert len(notes) == len(PEERS)
    assert notes[0] == "FastAPI tutorial was not measured: no pip"
    assert notes[-1] == "Better Auth was not measured: no npm"


def test_a_cookie_is_sent_back_as_it_was_given() -> None:
    (peer,) = [peer for peer in PEERS if peer.name == "Better Auth"]
    with serving(site, lifespan="off") as port:
        asking = sign_in_by_page("/", ["ada@example.com"], 1)
        given = signed_in(f"http://127.0.0.1:{port}", asking, peer.pattern)

    assert given == ["better-auth.session_token=t.s%2Fg"]
    assert peer.sent == {"Cookie": "{item}"}


def test_a_sign_in_that_gives_nothing_is_a_wrong_answer() -> None:
    asking = sign_in_by_page("/", ["eve@example.com"], 1)
    with serving(site, lifespan="off") as port, pytest.raises(WrongAnswerError):
        signed_in(f"http://127.0.0.1:{port}", asking, PEERS[-1].pattern)


@pytest.mark.anyio
async def test_our_own_client_reads_an_answer_in_chunks_to_its_end() -> None:
    asking = sign_in_by_page("/", ["ada@example.com"], 1)
    body = (asking.body or "").replace("{item}", "ada@example.com")
    with serving(site, lifespan="off") as port:
        async with Client(f"http://127.0.0.1:{port}").open() as client:
            asked = request("POST", "/", asking.headers, body)
            answers = [await client.ask(asked) for _ in range(3)]

    assert [answer.status for answer in answers] == [200] * 3
    assert {answer.body for answer in answers} == {b'5\r\n{"tok\r\n8\r\nen":"t"}\r\n0\r\n\r\n'}

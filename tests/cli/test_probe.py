"""`limen probe`: it finds every weakness that a service has, and only those; and tells no token."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from click.testing import CliRunner, Result
from joserfc.jwk import RSAKey

from limen.cli.program import limen as program
from limen.probe import run
from limen.verify.hostile import ATTACKS, Signer
from tests.cli.conftest import Call
from tests.loopback import serving
from tests.people import Person
from tests.probe.weak_service import WeakService
from tests.tokens import b64, payload_of

FAST = ("--rate", "1000")

# The weaknesses of a service, and what is to be found: the attacks accepted, or ended in an error.
WEAKNESSES = [
    ("", "", ""),
    ("none", "alg-none", ""),
    ("public key as secret", "public-key-as-secret", ""),
    ("tutorial secret", "weak-secret", ""),
    ("no signature", "unverified-signature oversized", ""),
    ("jwk", "embedded-key", ""),
    ("jku", "key-url", ""),
    ("kid is a file", "kid-injection", ""),
    ("falls over odd kids", "", "kid-injection embedded-key"),
    ("falls over long tokens", "", "oversized"),
    ("reads JSON", "json-serialisation", ""),
    ("decrypts", "encrypted", ""),
    ("pads", "spelling ended-session", ""),
    ("first header", "two-headers", ""),
    ("last header", "two-headers", ""),
    ("any scheme", "other-scheme", ""),
    ("in-query", "in-query", ""),
    ("any session", "ended-session", ""),
    ("any exp", "expired no-expiry", ""),
    ("any nbf", "not-yet-valid", ""),
    ("any iss", "wrong-issuer", ""),
    ("iss prefix", "wrong-issuer", ""),
    ("any aud", "wrong-audience", ""),
    ("any typ", "wrong-type", ""),
    ("ignores crit", "critical-header", ""),
    ("any algorithm", "other-algorithm", ""),
    ("loose JSON", "duplicate-members odd-json no-expiry", "malformed odd-json"),
    ("none,any aud,last header", "alg-none wrong-audience two-headers", ""),
]


@dataclass
class Tried:
    """A weak service that listens, and the files that its owner has."""

    service: WeakService
    url: str
    files: Path
    token: str

    @property
    def all_files(self) -> list[str]:
        options = []
        for name in ("token", "ended-token", "expired-token", "key", "jwks"):
            options += [f"--{name}-file", str(self.files / name)]
        return options


@pytest.fixture(scope="module")
def issuer() -> Signer:
    return Signer("RS256", RSAKey.generate_key(2048))


@pytest.fixture(scope="module")
def listening(issuer: Signer) -> Iterator[tuple[WeakService, int]]:
    service = WeakService(issuer)
    with serving(service) as port:
        yield service, port


@pytest.fixture
def tried(listening: tuple[WeakService, int], issuer: Signer, tmp_path: Path) -> Tried:
    service, port = listening
    fresh = WeakService(issuer)
    vars(service).update(vars(fresh))
    now = int(time.time())
    good = {"iat": now, "nbf": now, "exp": now + 600}
    old = {"iat": now - 600, "nbf": now - 600, "exp": now - 60}
    texts = {
        "token": signed(issuer, **good),
        "ended-token": signed(issuer, **good, sid="s-ended"),
        "expired-token": signed(issuer, **old),
        "key": json.dumps(issuer.key.as_dict(private=True)),
        "jwks": json.dumps({"keys": [issuer.key.as_dict(private=False) | {"kid": "test"}]}),
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    service.ended.add("s-ended")
    return Tried(service, f"http://127.0.0.1:{port}/me", tmp_path, texts["token"])


def signed(issuer: Signer, **claims: object) -> str:
    parts = {"alg": "RS256", "typ": "at+jwt", "kid": "test"}, payload_of(**claims)
    text = ".".join(b64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{b64(issuer.sign(text.encode()))}"


def found(result: Result, verdict: str) -> set[str]:
    said = json.loads(result.stdout)
    return {each["attack"] for each in said["findings"] if each["verdict"] == verdict}


@pytest.mark.parametrize(("weaknesses", "accepted", "errors"), WEAKNESSES)
def test_each_weakness_is_found_and_nothing_else(
    call: Call, tried: Tried, weaknesses: str, accepted: str, errors: str
) -> None:
    tried.service.weak = frozenset(filter(None, weaknesses.split(",")))
    if weaknesses == "pads":  # so that the list of what was ended is slipped past
        tried.service.ended.clear()
        tried.service.ended_texts.add((tried.files / "ended-token").read_text())

    result = call("probe", tried.url, *FAST, "--json", *tried.all_files)

    assert found(result, "accepted") == set(accepted.split())
    assert found(result, "error") == set(errors.split())
    assert result.exit_code == (1 if accepted or errors else 0)
    assert json.loads(result.stdout)["untried"] == []


def test_every_attack_of_the_catalogue_finds_something_somewhere() -> None:
    """But for those that the standards allow, and which are only noted."""
    expected = {
        name for _, accepted, errors in WEAKNESSES for name in (accepted + " " + errors).split()
    }

    assert expected == {name for name, each in ATTACKS.items() if each.severity != "note"}


def test_a_finding_is_explained_to_people(call: Call, tried: Tried) -> None:
    tried.service.weak = frozenset({"none", "falls over long tokens"})

    result = call("probe", tried.url, *FAST, *tried.all_files)

    assert result.exit_code == 1
    assert "alg-none              14    9 x 200, 5 x 401  9 x ACCEPTED, 5 x refused" in (
        result.stdout
    )
    assert "HIGH  alg-none: accepted\n  What:  none, empty signature (200); " in result.stdout
    assert f"  Why:   {ATTACKS['alg-none'].why}\n" in result.stdout
    assert f"  Fix:   {ATTACKS['alg-none'].fix}\n" in result.stdout
    assert "LOW  oversized: error\n  What:  6 KiB (500); 48 KiB (500)\n" in result.stdout
    assert "; 11 findings.\n" in result.stdout


def test_what_the_standards_allow_is_noted_and_no_finding(call: Call, tried: Tried) -> None:
    tried.service.weak = frozenset({"in-cookie"})

    result = call("probe", tried.url, *FAST, "--json", *tried.all_files)

    said = json.loads(result.stdout)
    assert [(each["attack"], each["name"]) for each in said["notes"]] == [
        ("in-cookie", "cookie jwt")
    ]
    assert (result.exit_code, said["findings"], said["counts"]["noted"]) == (0, [], 1)


def test_what_was_not_tried_is_said_and_what_would_help(call: Call, tried: Tried) -> None:
    jwks = ("--issuer", "http://127.0.0.1:1")  # where nobody answers
    result = call("probe", tried.url, *FAST, *jwks, "--json", stdin=tried.token)

    untried = json.loads(result.stdout)["untried"]
    remedies = {attack: each["remedy"] for each in untried for attack in each["attacks"]}
    assert result.exit_code == 0
    assert "No key set was read from http://127.0.0.1:1/.well-known/jwks.json" in result.stderr
    assert "--jwks-file" in remedies["public-key-as-secret"]
    assert "--ended-token-file" in remedies["ended-session"]
    assert "--expired-token-file" in remedies["expired"]
    assert "--key-file" in remedies["wrong-audience"]
    tried_too = {each["attack"] for each in json.loads(result.stdout)["results"]}
    assert tried_too | remedies.keys() == ATTACKS.keys() - {"ecdsa-twin"}

    shown = call("probe", tried.url, *FAST, *jwks, stdin=tried.token).stdout
    assert "Not tried:\n" in shown
    assert all(each["because"] in shown and each["remedy"] in shown for each in untried)


@pytest.mark.parametrize(
    ("state", "doubt"),
    [
        ({"status": 403}, "The valid token was not let in (403)"),
        ({"status": 500}, "The valid token was not let in (500)"),
        ({"status_without": 200}, "open to everybody"),
        ({"status_without": 500}, "without a token was not refused but answered with 500"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_without_its_controls_nothing_is_sent_and_nothing_concluded(
    call: Call, tried: Tried, state: dict[str, int], doubt: str
) -> None:
    vars(tried.service).update(state)

    result = call("probe", tried.url, *FAST, "--json", *tried.all_files)

    said = json.loads(result.stdout)
    assert result.exit_code == 3
    assert doubt in said["doubt"]
    assert (said["conclusive"], said["results"]) == (False, [])
    assert len(tried.service.requests) == 2
    assert call("probe", tried.url, *FAST, *tried.all_files).stdout.count("INCONCLUSIVE") == 1


def test_whoever_was_blocked_meanwhile_can_conclude_nothing(call: Call, tried: Tried) -> None:
    tried.service.bad_until_blocked = 20

    result = call("probe", tried.url, *FAST, "--json", *tried.all_files)

    said = json.loads(result.stdout)
    assert (result.exit_code, said["control"]["afterwards"]) == (3, "403")
    assert "no longer let in" in said["doubt"]


@pytest.mark.parametrize(("weak", "code"), [("", 3), ("none", 1)])
def test_an_attack_without_a_clear_answer_is_no_attack_that_was_refused(
    call: Call, tried: Tried, weak: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hiding(WeakService):
        def _status(self, headers: Any, query: str) -> int:
            return (
                503
                if any(len(value) > 5000 for _, value in headers)
                else super()._status(headers, query)
            )

    monkeypatch.setattr(run, "PAUSE_SECONDS", 0.01)
    hiding = Hiding(tried.service.issuer, weak=frozenset(filter(None, [weak])), ended={"s-ended"})
    with serving(hiding) as port:
        url = f"http://127.0.0.1:{port}/me"
        result = call("probe", url, *FAST, "--json", *tried.all_files)
        shown = call("probe", url, *FAST, *tried.all_files).stdout

    said = json.loads(result.stdout)
    assert (result.exit_code, said["conclusive"], said["unsent"]) == (code, False, [])
    assert said["doubt"].endswith("so not tried: oversized (6 KiB: 503; 48 KiB: 503).")
    assert f"INCONCLUSIVE. {said['doubt']}" in shown


def test_a_service_that_wants_no_more_is_left_in_peace(
    call: Call, tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "PAUSE_SECONDS", 0.01)

    class Tired(WeakService):
        def _lets_in(self, token: str) -> bool:
            self.status = 429 if len(self.requests) > 10 else None
            return super()._lets_in(token)

    with serving(Tired(tried.service.issuer)) as port:
        url = f"http://127.0.0.1:{port}/me"
        result = call("probe", url, *FAST, "--json", *tried.all_files)

    said = json.loads(result.stdout)
    assert result.exit_code == 3
    assert said["counts"]["unclear"] == 5
    assert len(said["unsent"]) > 100
    assert "Try a lower --rate" in said["doubt"]


def test_nobody_answering_is_told(call: Call, tried: Tried) -> None:
    result = call("probe", "http://127.0.0.1:1/me", *FAST, "--json", *tried.all_files)

    assert result.exit_code == 3
    assert json.loads(result.stdout)["control"]["with_token"] == "ConnectionRefusedError"


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["people", "JSON"])
def test_no_token_is_shown(call: Call, tried: Tried, options: list[str]) -> None:
    tried.service.weak = frozenset({"none", "no signature", "in-query", "any session"})

    result = call("probe", tried.url, *FAST, *options, *tried.all_files)

    assert result.exit_code == 1
    for part in tried.token.split("."):
        assert part[:20] not in result.output


def test_the_request_is_as_it_was_asked_for(call: Call, tried: Tried) -> None:
    options = ("--method", "post", "--header", "X-Tenant: a")
    result = call("probe", f"{tried.url}?q=hidden", *FAST, *options, *tried.all_files)

    assert result.exit_code == 0, result.output
    assert "hidden" not in result.output
    for method, headers in tried.service.requests:
        assert method == "POST"
        assert (b"x-tenant", b"a") in headers
        assert (b"content-length", b"0") in headers
    assert len(tried.service.requests) < 250


def test_it_asks_no_faster_than_it_was_told(call: Call, tried: Tried) -> None:
    began = time.monotonic()
    result = call("probe", tried.url, "--rate", "100", stdin=tried.token)

    assert result.exit_code == 0
    assert time.monotonic() - began > (len(tried.service.requests) - 1) / 100


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["https://x.example.com/#a"], "fragment"),
        (["https://me:pw@x.example.com/"], "credentials"),
        (["http://x.example.com/"], "Plain http would show the token"),
        (["ftp://x.example.com/"], "https://"),
        (["{url}", "--header", "Authorization: x"], "Authorization"),
        (["{url}", "--header", "nothing"], "Name: value"),
        (["{url}", "--ended-token-file", "{files}/expired-token"], "has expired, and proves"),
        (["{url}", "--expired-token-file", "{files}/token"], "has not expired, and proves"),
        (["{url}", "--key-file", "{files}/jwks"], "private JWK"),
        (["{url}", "--key-file", "{files}/token"], "one JSON object"),
        (["{url}", "--token-file", "{files}/jwks"], "one line without spaces"),
        (["{url}", "--rate", "0"], "--rate"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_wrong_call_is_told_before_anything_is_sent(
    call: Call, tried: Tried, words: list[str], says: str
) -> None:
    filled = [word.format(url=tried.url, files=tried.files) for word in words]
    jwks = ("--jwks-file", str(tried.files / "jwks"))

    result = call("probe", *filled, *jwks, stdin=tried.token)

    assert result.exit_code == 2
    assert says in result.stderr
    assert tried.token not in result.output
    assert tried.service.requests == []


def test_a_key_that_did_not_sign_the_token_is_refused(call: Call, tried: Tried) -> None:
    other = RSAKey.generate_key(2048).as_dict(private=True)
    (tried.files / "key").write_text(json.dumps(other))

    result = call("probe", tried.url, *tried.all_files)

    assert result.exit_code == 2
    assert "This key did not sign the token." in result.stderr


def test_a_token_that_is_given_instead_of_its_file_is_not_repeated(
    call: Call, tried: Tried
) -> None:
    result = call("probe", tried.url, "--token-file", tried.token[:200])

    assert result.exit_code == 1
    assert "The file of --token-file cannot be read: No such file" in result.stderr
    assert tried.token[:20] not in result.output


@pytest.mark.parametrize("token", ["opaque", "a.b.c", "e30.W10.AAAA"])
def test_what_is_no_jwt_cannot_be_forged(call: Call, tried: Tried, token: str) -> None:
    result = call("probe", tried.url, stdin=token)

    assert result.exit_code == 2
    assert "This is no JWT" in result.stderr


@pytest.mark.anyio
async def test_limen_itself_lets_nothing_in(
    wire: httpx2.AsyncClient, ada: Person, tmp_path: Path
) -> None:
    ended = ada.tokens["access_token"]
    assert (await ada.log_out()).status_code == 204
    await ada.sign_in()
    (tmp_path / "ended").write_text(ended)
    url = str(wire.base_url.join("/api/v1/auth/me"))
    words = ["probe", url, *FAST, "--json", "--ended-token-file", str(tmp_path / "ended")]
    words += ["--issuer", str(wire.base_url)]
    call = partial(CliRunner().invoke, program, words, input=ada.tokens["access_token"])

    result: Result = await anyio.to_thread.run_sync(call)

    said: dict[str, Any] = json.loads(result.stdout)

    print(f"\n{said['counts']} by limen; not tried: {len(said['untried'])} kinds")
    assert result.exit_code == 0, result.output
    assert said["findings"] == []
    assert said["conclusive"]
    assert said["counts"]["refused"] > 100
    tried = {each["attack"] for each in said["results"]}
    assert {"public-key-as-secret", "encrypted", "ended-session"} <= tried


def test_the_page_lists_every_attack_with_its_severity() -> None:
    page = (Path(__file__).parents[2] / "docs" / "probe.md").read_text("utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (high|low|note) \|", page, re.MULTILINE)

    assert dict(rows) == {name: each.severity for name, each in ATTACKS.items()}
    assert len(rows) == len(ATTACKS)

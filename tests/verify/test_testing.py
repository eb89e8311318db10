"""What is given to other people's tests makes good tokens good and hostile ones refused."""

import re
import subprocess
import sys
from pathlib import Path

import jwt
import pytest

from limen.verify.bearer import bearer_token
from limen.verify.errors import GuardError, InvalidToken
from limen.verify.keyset import KeySet
from limen.verify.testing import TestIssuer

AUDIENCE = "https://api.example.com"
PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


@pytest.fixture(scope="module", params=["ES256", "Ed25519", "RS256"])
def issuer(request: pytest.FixtureRequest) -> TestIssuer:
    return TestIssuer(AUDIENCE, algorithm=request.param)


def reason(issuer: TestIssuer, token: str, audience: str | None = None) -> str:
    try:
        issuer.verifier(audience).check(token)
    except InvalidToken as refusal:
        return refusal.reason
    return "accepted"


def test_a_token_says_what_it_was_made_with(issuer: TestIssuer) -> None:
    token = issuer.token(
        user_id="ada", scopes=["a", "b"], roles=["editor"], expires_in=60, sid="s-1", cv=7
    )
    claims = issuer.verifier().check(token)

    assert (claims.user_id, claims.sid, claims.cv) == ("ada", "s-1", 7)
    assert claims.scopes == {"a", "b"}
    assert claims.roles == {"editor"}
    assert claims.expires_at - claims.issued_at == 60
    assert (claims.issuer, claims.audience) == (issuer.url, (AUDIENCE,))


def test_a_token_may_say_more(issuer: TestIssuer) -> None:
    claims = issuer.verifier().check(issuer.token(tenant="acme", plan={"seats": 3}))

    assert claims.extra == {"tenant": "acme", "plan": {"seats": 3}}


def test_tokens_are_refused_for_the_reason_they_were_made_for(issuer: TestIssuer) -> None:
    other = "https://other.example.com"

    assert reason(issuer, issuer.token(expires_in=-1)) == "expired"
    assert reason(issuer, issuer.token(expires_in=0)) == "expired"
    assert reason(issuer, issuer.token(audience=other)) == "wrong_audience"
    assert reason(issuer, issuer.token(audience=other), other) == "accepted"
    assert reason(issuer, issuer.token(iss="https://evil.example")) == "wrong_issuer"
    assert reason(issuer, TestIssuer(AUDIENCE).token()) == "unknown_key"


def test_a_revoked_session_is_refused_by_every_verifier_and_no_other_is(
    issuer: TestIssuer,
) -> None:
    token, again = issuer.token(sid="s-2"), issuer.token(sid="s-2")
    issuer.revoke(token)

    assert {reason(issuer, token), reason(issuer, again)} == {"ended"}
    assert reason(issuer, issuer.token()) == "accepted"


def test_every_hostile_token_is_refused(issuer: TestIssuer) -> None:
    verifier, hostile = issuer.verifier(), issuer.hostile()
    for each in hostile:
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in each.sent]
        with pytest.raises(GuardError):
            verifier.check(bearer_token(headers))
    print(f"{len(hostile)} hostile requests, each refused")
    assert len(hostile) > 100


def test_the_ended_token_is_refused_for_nothing_but_its_end(issuer: TestIssuer) -> None:
    other = "https://other.example.com"
    claims: dict[str, object] = {"audience": other, "scopes": ["a"], "sid": "s-3"}
    hostile = issuer.hostile(**claims)
    (ended,) = (it for it in hostile if (it.attack.name, it.name) == ("ended-session", "as it is"))

    assert reason(issuer, ended.token, other) == "ended"
    assert issuer.verifier(other).authenticate(ended.token).scopes == {"a"}
    assert reason(issuer, issuer.token(audience=other, sid="s-3"), other) == "accepted"


def test_the_key_set_is_one_for_everybody(issuer: TestIssuer) -> None:
    assert len(KeySet.from_jwks(issuer.jwks)) == 1
    assert jwt.PyJWKSet.from_dict(
        {"keys": [{**key, "alg": key["alg"].replace("Ed25519", "EdDSA")} for key in _keys(issuer)]}
    ).keys
    assert "'d'" not in str(issuer.jwks)


def _keys(issuer: TestIssuer) -> list[dict[str, str]]:
    keys = issuer.jwks["keys"]
    assert isinstance(keys, list)
    return keys


def test_an_algorithm_that_is_none_of_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="RS256, ES256, Ed25519"):
        TestIssuer(AUDIENCE, algorithm="HS256")


def test_the_example_of_the_documentation_passes(tmp_path: Path) -> None:
    block = re.compile(r"^`(\w+\.py)`:\n\n```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
    files = block.findall(PAGE.read_text())
    assert [name for name, _ in files] == ["orders.py", "test_orders.py"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ran.returncode == 0, ran.stdout
    assert re.search(r"^\d{3} passed", ran.stdout, re.MULTILINE), ran.stdout

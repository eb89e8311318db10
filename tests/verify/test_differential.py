"""Whatever we accept, PyJWT and joserfc accept too.

Both libraries are more generous than we are, and more widely tried. So if our verifier ever says
yes where one of them says no, ours is wrong. The tokens are correctly signed: it is everything
else about them that is odd.
"""

import json
import time
from collections import Counter
from collections.abc import Mapping

import pytest
from cryptography.hazmat.primitives.asymmetric.x448 import X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt as joserfc_jwt
from jwt.algorithms import AllowedPublicKeys

from limen.verify.keyset import ALGORITHMS
from tests.pyjwt import jwt
from tests.tokens import (
    AUDIENCE,
    ISSUER,
    Document,
    Signer,
    payload_of,
    reason,
    signer,
    verifier,
)

COUNTS: Counter[str] = Counter()
START = int(time.time())


def accepted_by_us(token: str) -> bool:
    return reason(verifier(now=time.time()), token) == "accepted"


def pyjwt_key(signer: Signer) -> AllowedPublicKeys | bytes:
    key = signer.public.public_key
    assert not isinstance(key, X25519PublicKey | X448PublicKey)
    return key


def accepted_by_pyjwt(signer: Signer, token: str) -> bool:
    try:
        jwt.decode(
            token,
            pyjwt_key(signer),
            algorithms=[signer.algorithm],
            audience=AUDIENCE,
            issuer=ISSUER,
        )
    except Exception:  # noqa: BLE001  whatever it raises, it does not accept
        return False
    return True


def accepted_by_joserfc(signer: Signer, token: str) -> bool:
    claims = joserfc_jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        exp={"essential": True},
    )
    try:
        decoded = joserfc_jwt.decode(token, signer.public, algorithms=[signer.algorithm])
        claims.validate(decoded.claims)
    except Exception:  # noqa: BLE001  whatever it raises, it does not accept
        return False
    return True


def compare(signer: Signer, token: str) -> None:
    """Fail if we accept what another does not."""
    verdicts = {
        "limen": accepted_by_us(token),
        "PyJWT": accepted_by_pyjwt(signer, token),
        "joserfc": accepted_by_joserfc(signer, token),
    }
    COUNTS["compared"] += 1
    COUNTS.update(name for name, accepted in verdicts.items() if accepted)
    if verdicts["limen"]:
        assert verdicts == dict.fromkeys(verdicts, True), token


@pytest.fixture(scope="module", autouse=True)
def _figures() -> object:
    yield
    print("\naccepted:", dict(COUNTS))


def raw(**changes: object) -> bytes:
    times = {"iat": START, "nbf": START, "exp": START + 6 * 3600}  # longer than the suite
    return json.dumps(payload_of(**(times | changes))).encode()


def good(before: bytes = b"", after: bytes = b"") -> bytes:
    """A good payload with more members, as text, at its beginning or end."""
    return b"{" + before + raw()[1:-1] + after + b"}"


HEADER_CHANGES: list[dict[str, object]] = [
    {"crit": []}, {"crit": ["exp"], "exp": 1}, {"b64": False, "crit": ["b64"]}, {"b64": True},
    {"jwk": {}}, {"jku": "https://evil.example"}, {"x5u": "https://evil.example"}, {"x5c": []},
    {"zip": "DEF"}, {"cty": "JWT"}, {"p2c": 1}, {"typ": [1]}, {"typ": "JWT"}, {"typ": "AT+JWT"},
    {"alg": "none"}, {"alg": "HS512"}, {"alg": "PS256"}, {"alg": "EdDSA"}, {"alg": None},
    {"kid": None}, {"kid": []}, {"kid": 1}, {"kid": "x" * 500}, {"kid": ""},
]  # fmt: skip

TIME_VALUES: list[object] = [
    START - 3600, START - 60, START + 60, START + 3600, START + 86000, START + 90000,
    -1, 0, 2**31, 2**53, 2**63 - 1, 2**63, 10**50, START + 60.5, 1e300, True, False, None,
    str(START + 60), [START + 60], {}, "",
]  # fmt: skip

TEXT_CLAIMS = ("iss", "aud", "sub", "jti", "sid", "type", "cv")
TEXT_VALUES: list[object] = [
    ISSUER, AUDIENCE, ISSUER + "/", [ISSUER], [AUDIENCE], [AUDIENCE, "x"], [AUDIENCE, 1], [],
    "", None, 0, 1, True, {}, "access", "u-1",
]  # fmt: skip

PAYLOADS: list[bytes] = [
    raw(), good(b" \n"), good(after=b"\t"), good(after=b', "x": "\\ud83d\\ude00"'),
    good(after=b', "x": [[[[]]]]'), good(after=b', "x": 1.5'), good(after=b', "x": -0'),
    good(b'"sub": "u-2", '), good(after=b', "sub": "u-2"'), good(after=b', "exp": 99999999999'),
    good(after=b', "x": NaN'), good(after=b', "x": 1e999'), good(after=b', "x": "\\ud800"'),
    good(after=b', "x": ' + b"[" * 17 + b"]" * 17), good(after=b', "x": "\xc3"'),
    raw().decode().encode("utf-16"), b"\xef\xbb\xbf" + raw(), raw() + b"\0", b"[]", b"null", b"",
    b"[" * 1400 + b"]" * 1400, raw(sub="\0"), raw(jti="é"), raw(scope="a b"), raw(x="y" * 2000),
    raw(x="y" * 5000), raw().replace(b'"', b"'"), raw()[:-1],
    *(raw(**{name: time}) for name in ("iat", "nbf", "exp") for time in TIME_VALUES),
    *(raw(**{name: text}) for name in TEXT_CLAIMS for text in TEXT_VALUES),
]  # fmt: skip


def spellings(token: str) -> list[str]:
    header, payload, signature = token.split(".")
    return [
        token, token + "=", token + "==", token + "\n", " " + token, token + ".", "." + token,
        token + "A", token[:-1], token.replace("-", "+").replace("_", "/"), token.upper(),
        f"{header}=.{payload}.{signature}", f"{header}.{payload}=.{signature}",
        f"{header}.{payload}.", f"{header}..{signature}", f"{header}.{payload}",
        f"{payload}.{header}.{signature}", f"{header}.{payload}.!{signature}",
        f"{header}.{payload}.{signature[:5]} {signature[5:]}", "Bearer " + token, token * 2,
        json.dumps({"protected": header, "payload": payload, "signature": signature}),
        *(token[:-1] + last for last in "ABCDEFGHQgw048_-"),
    ]  # fmt: skip


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_odd_token_is_accepted_by_us_alone(algorithm: str) -> None:
    ours = signer(algorithm)
    before = COUNTS["limen"]

    for changes in HEADER_CHANGES:
        compare(ours, ours.token(header=ours.header(**changes), payload=raw()))
    for padding in (0, 100, 200, 300, 400, 1000):
        header = json.dumps(ours.header()).encode() + b" " * padding
        compare(ours, ours.token(header=header, payload=raw()))
    for payload in PAYLOADS:
        compare(ours, ours.token(payload=payload))
    for token in spellings(ours.token(payload=raw())):
        compare(ours, token)

    assert COUNTS["limen"] - before > 30  # else we would compare nothing


TIMES = st.integers(-7200, 7200).filter(lambda d: abs(d) > 60).map(lambda d: START + d)  # no races
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | TIMES,
    lambda values: st.lists(values) | st.dictionaries(st.text(), values),
    max_leaves=5,
)
CLAIMS = st.dictionaries(
    st.sampled_from(["iss", "aud", "sub", "sid", "jti", "iat", "nbf", "exp", "cv", "scope", "x"]),
    VALUES,
    max_size=2,
)
MUTATIONS = st.tuples(st.integers(0, 10**4), st.binary(max_size=2), st.integers(0, 2))


def mutated(document: bytes, mutation: tuple[int, bytes, int]) -> bytes:
    place, piece, cut = mutation
    place %= len(document) + 1
    return document[:place] + piece + document[place + cut :]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(ALGORITHMS), CLAIMS, st.sampled_from([TIMES, None]), st.data())
def test_no_random_claim_is_accepted_by_us_alone(
    algorithm: str, claims: Mapping[str, object], times: object, data: st.DataObject
) -> None:
    changes = dict(claims)
    if times is not None:
        changes |= {name: data.draw(TIMES) for name in ("iat", "nbf", "exp")}
    compare(signer(algorithm), signer(algorithm).token(payload=raw(**changes)))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ALGORITHMS), MUTATIONS, st.sampled_from(["header", "payload", "token"]))
def test_no_random_change_is_accepted_by_us_alone(
    algorithm: str, mutation: tuple[int, bytes, int], where: str
) -> None:
    ours = signer(algorithm)
    documents: dict[str, Document] = {
        "header": json.dumps(ours.header()).encode(),
        "payload": raw(),
    }
    if where == "token":
        token = ours.token(documents["header"], documents["payload"]).encode()
        compare(ours, mutated(token, mutation).decode("latin-1"))
        return
    changed = documents[where]
    assert isinstance(changed, bytes)
    compare(ours, ours.token(**(documents | {where: mutated(changed, mutation)})))

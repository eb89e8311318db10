"""The catalogue of hostile requests: complete, made of nothing secret, and leading nowhere."""

import json
import re
import time
from collections.abc import Iterator

import pytest
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from limen.verify.bearer import bearer_token
from limen.verify.errors import InvalidAuthorization, MissingToken
from limen.verify.hostile import ATTACKS, Catalogue, Hostile, Signer, catalogue
from limen.verify.keyset import KeySet, VerificationKey
from limen.verify.revocations import Revocations
from limen.verify.verifier import Verifier
from tests.attacks.outside import watched
from tests.tokens import (
    AUDIENCE,
    ISSUER,
    NOW,
    b64,
    payload_of,
    payload_without,
    reason,
    signer,
    unb64,
    verifier,
)

RSA = RSAKey.generate_key(2048)
KEYS: dict[str, Key] = {
    "RS256": RSA,
    "RS512": RSA,
    "PS256": RSA,
    "ES256": ECKey.generate_key("P-256"),
    "ES384": ECKey.generate_key("P-384"),
    "ES512": ECKey.generate_key("P-521"),
    "ES256K": ECKey.generate_key("secp256k1"),
    "EdDSA": OKPKey.generate_key("Ed25519"),
    "Ed25519": OKPKey.generate_key("Ed25519"),
    "Ed448": OKPKey.generate_key("Ed448"),
    "HS256": OctKey.generate_key(512),
    "HS512": OctKey.generate_key(512),
}
EVERYWHERE = ATTACKS.keys() - {"public-key-as-secret", "encrypted", "ecdsa-twin", "other-algorithm"}


def everything(algorithm: str) -> Catalogue:
    """All that can be made for a token of this algorithm, when all is given."""
    ours = Signer(algorithm, KEYS[algorithm])
    jwks = {"keys": [] if algorithm.startswith("HS") else [{**ours.public, "kid": "k"}]}
    return catalogue(
        signed(ours),
        jwks=jwks,
        signer=ours,
        ended=signed(ours, sid="s-2"),
        expired=signed(ours, exp=NOW - 1),
        now=NOW,
    )


def signed(ours: Signer, **claims: object) -> str:
    parts = {"alg": ours.algorithm, "typ": "at+jwt", "kid": "k"}, payload_of(**claims)
    text = ".".join(b64(json.dumps(part).encode()) for part in parts)
    return f"{text}.{b64(ours.sign(text.encode()))}"


def texts(made: Catalogue) -> Iterator[str]:
    """Every header and query, and the parts of tokens decoded, if they can be."""
    for each in made.hostile:
        yield from (value for _, value in each.sent)
        yield each.query
        for part in re.findall(r"[A-Za-z0-9_-]{8,}", each.token):
            try:
                yield unb64(part).decode("latin-1")
            except ValueError:
                continue


@pytest.mark.parametrize("algorithm", KEYS)
def test_every_algorithm_has_its_catalogue(algorithm: str) -> None:
    made = everything(algorithm)
    attacks = {each.attack.name for each in made.hostile}
    names = [(each.attack.name, each.name) for each in made.hostile]
    untried = {attack for each in made.untried for attack in each.attacks}

    assert attacks >= EVERYWHERE
    assert attacks | untried >= ATTACKS.keys() - {"ecdsa-twin", "other-algorithm"}
    assert not attacks & untried
    assert len(set(names)) == len(names)
    assert len(names) < 250
    assert all(each.explanation and each.fix for each in made.hostile)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519", "HS256"])
def test_limen_refuses_all_of_it_but_the_twin(algorithm: str) -> None:
    ours = signer(algorithm)
    jwks = None if algorithm == "HS256" else {"keys": [ours.jwk]}
    made = catalogue(ours.token(), jwks=jwks, now=NOW)

    accepted = [each.attack.name for each in made.hostile if is_accepted(each)]

    assert accepted == (["ecdsa-twin"] if algorithm == "ES256" else [])


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "Ed25519"])
def test_limen_refuses_what_only_the_issuer_could_sign(algorithm: str) -> None:
    """Signed with the key that the verifier has: each fault alone is the reason."""
    ours = Signer(algorithm, KEYS[algorithm])
    revocations = Revocations(monotonic=lambda: 0.0)
    revocations.synced()
    keys = KeySet([VerificationKey("k", algorithm, ours.key)])
    checker = Verifier(
        ISSUER,
        AUDIENCE,
        keys=keys,
        revocations=revocations,
        now=lambda: NOW,
    )
    token = signed(ours)
    assert reason(checker, token) == "accepted"

    reasons = {
        each.attack.name: reason(checker, each.token)
        for each in catalogue(token, signer=ours, now=NOW).hostile
    }

    assert reasons["expired"] == "expired"
    assert reasons["not-yet-valid"] == "not_yet_valid"
    assert reasons["wrong-type"] == "wrong_type"
    for attack in ("no-expiry", "wrong-issuer", "wrong-audience", "odd-json", "duplicate-members"):
        assert reasons[attack] != "accepted"


def is_accepted(each: Hostile) -> bool:
    headers = [(name.lower().encode(), value.encode()) for name, value in each.sent]
    try:
        token = bearer_token(headers)
    except (MissingToken, InvalidAuthorization):
        return False
    return reason(verifier(), token) == "accepted"


@pytest.mark.parametrize("algorithm", KEYS)
def test_no_address_in_it_leads_anywhere(algorithm: str) -> None:
    hosts = {
        host
        for text in texts(everything(algorithm))
        for host in re.findall(r"[a-z]+://([^/\"]*)", text)
    }

    beyond = {host for host in hosts if not host.endswith("limen-probe.invalid")}
    ours = {"login.example.com", "api.example.com", "login.example.co", "api.example.co"}
    assert beyond <= ours | {""}


def test_making_it_reaches_for_nothing() -> None:
    everything("RS256")
    with watched() as acts:
        everything("RS256")

    assert acts == []


def test_every_header_can_be_sent() -> None:
    for algorithm in KEYS:
        for each in everything(algorithm).hostile:
            for _, value in each.sent:
                assert re.fullmatch("[ -~]*", value), each.name
            assert re.fullmatch("[!-~]*", each.query)


def test_what_is_missing_is_named() -> None:
    made = catalogue(signer("RS256").token(), now=NOW)

    assert [each.needs for each in made.untried] == ["jwks", "ended", "key", "expired"]
    tried = {each.attack.name for each in made.hostile}
    untried = [attack for each in made.untried for attack in each.attacks]
    assert sorted([*tried, *untried]) == sorted(ATTACKS.keys() - {"ecdsa-twin"})


@pytest.mark.parametrize(
    "jwks",
    [{}, {"keys": []}, {"keys": 5}, {"keys": [5]}, {"keys": [{"kid": "a"}, {"kid": "b"}]}],
    ids=str,
)
def test_a_key_set_without_the_key_is_no_key_set(jwks: dict[str, object]) -> None:
    first = catalogue(signer("RS256").token(), jwks=jwks, now=NOW).untried[0]

    assert "public-key-as-secret" in first.attacks


@pytest.mark.parametrize(
    "jwk", [{"kty": "RSA"}, {"kty": "oct", "k": "AAAA"}, {"kty": "x"}, {"kty": "EC", "crv": 5}]
)
def test_a_key_that_is_none_is_told(jwk: dict[str, object]) -> None:
    jwks = {"keys": [{**jwk, "kid": "RS256-key"}]}
    made = catalogue(signer("RS256").token(), jwks=jwks, now=NOW)

    assert "published key" in made.untried[0].because


@pytest.mark.parametrize("name", ["ended", "expired"])
def test_another_token_that_would_prove_nothing_is_refused(name: str) -> None:
    ours = signer("RS256")
    foreign = ours.token(payload=payload_of(iss="https://other.example.com"))
    endless = ours.token(payload=payload_without("exp"))
    wrong = ours.token(payload=payload_of(exp=NOW - 1 if name == "ended" else NOW + 1))

    for token in (foreign, wrong, *([endless] if name == "expired" else [])):
        with pytest.raises(ValueError, match="proves nothing"):
            catalogue(ours.token(), now=NOW, **{name: token})  # type: ignore[arg-type]


def test_a_key_that_did_not_sign_is_refused() -> None:
    other = Signer("RS256", RSAKey.generate_key(2048))
    with pytest.raises(ValueError, match="did not sign"):
        catalogue(signer("RS256").token(), signer=other, now=NOW)


@pytest.mark.parametrize(
    ("algorithm", "jwk", "secret"),
    [("RS256", RSA.as_dict(private=True), "d"), ("HS256", {"kty": "oct", "k": "c2VjcmV0"}, "k")],
    ids=["RS256", "a weak HS256"],
)
def test_a_signer_is_read_from_a_private_jwk(
    algorithm: str, jwk: dict[str, object], secret: str
) -> None:
    ours = Signer.from_jwk(jwk, algorithm)

    assert ours.verifies(b"x", ours.sign(b"x"))
    assert str(jwk[secret]) not in repr(ours)


@pytest.mark.parametrize(
    "jwk",
    [RSA.as_dict(private=False), {}, {"kty": "oct", "k": "AAAA"}, {"kty": 5}],
    ids=["public", "empty", "short", "odd"],
)
def test_what_cannot_sign_is_no_signer(jwk: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not a private JWK"):
        Signer.from_jwk(jwk, "RS256")


def test_making_it_costs_little() -> None:
    everything("RS256")
    began = time.perf_counter()
    made = everything("RS256")
    took = time.perf_counter() - began

    print(f"\n{len(made.hostile)} hostile requests made in {took * 1000:.0f} ms")
    assert took < 10

"""A good token is let through, in this place, at this time, and no other."""

from collections.abc import Iterator

import pytest

from limen.verify.claims import Claims
from limen.verify.errors import InvalidToken, RevocationsStale
from limen.verify.keyset import ALGORITHMS, KeySet
from limen.verify.revocations import Revocation, Revocations, subject_digest
from limen.verify.verifier import Verifier
from tests.tokens import AUDIENCE, ISSUER, NOW, payload_of, reason, signer, verifier

pytestmark = pytest.mark.anyio
SIGNER = signer("RS256")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
async def test_a_good_token_gives_its_claims(algorithm: str) -> None:
    token = signer(algorithm).token()

    assert await verifier().verify(token) == Claims.from_payload(payload_of())
    assert verifier().check(token) == Claims.from_payload(payload_of())


async def test_a_refusal_says_why_and_repeats_nothing() -> None:
    with pytest.raises(InvalidToken) as refused:
        await verifier().verify(SIGNER.token(payload=payload_of(iss="https://evil.example")))

    assert refused.value.reason == "wrong_issuer"
    assert "evil" not in str(refused.value)


@pytest.mark.parametrize("payload", [b"no JSON", b'{"sub":"u-1","sub":"u-2"}', b"[" * 1500])
def test_a_payload_is_read_only_under_a_good_signature(payload: bytes) -> None:
    header, written, signature = SIGNER.token(payload=payload).split(".")

    assert reason(verifier(), f"{header}.{written}.{signature}") == "malformed"
    assert reason(verifier(), f"{header}.{written}.{SIGNER.token().rpartition('.')[2]}") == (
        "bad_signature"
    )


TIMES = {
    "the last moment": ({"exp": NOW + 1}, NOW + 0.999, "accepted"),
    "the end": ({"exp": NOW + 1}, NOW + 1, "expired"),
    "long after": ({}, NOW + 10**9, "expired"),
    "before issue": ({}, NOW - 1, "not_yet_valid"),
    "just before issue": ({}, NOW - 0.001, "not_yet_valid"),
    "the moment of issue": ({}, NOW, "accepted"),
    "issued later, valid now": ({"iat": NOW + 1}, NOW, "not_yet_valid"),
    "valid later": ({"nbf": NOW + 1}, NOW, "not_yet_valid"),
    "valid before it was issued": ({"nbf": NOW - 100}, NOW, "accepted"),
    "the longest life": ({"exp": NOW + 86400}, NOW, "accepted"),
    "too long a life": ({"exp": NOW + 86401}, NOW, "bad_claims"),
    "for ever": ({"exp": 2**53}, NOW, "bad_claims"),
}


@pytest.mark.parametrize(("changes", "now", "expected"), TIMES.values(), ids=TIMES.keys())
def test_a_token_has_its_time(changes: dict[str, object], now: float, expected: str) -> None:
    assert reason(verifier(now=now), SIGNER.token(payload=payload_of(**changes))) == expected


def test_a_configured_lifetime_is_the_longest() -> None:
    strict = verifier(max_lifetime=1799)

    assert reason(strict, SIGNER.token()) == "bad_claims"
    assert reason(strict, SIGNER.token(payload=payload_of(exp=NOW + 1799))) == "accepted"


AUDIENCES = {
    "ours": (AUDIENCE, "accepted"),
    "ours alone in a list": ([AUDIENCE], "accepted"),
    "ours among others": (["https://other.example", AUDIENCE], "accepted"),
    "another": ("https://other.example", "wrong_audience"),
    "others": (["https://a.example", "https://b.example"], "wrong_audience"),
    "a longer one": (AUDIENCE + "/", "wrong_audience"),
    "a shorter one": (AUDIENCE[:-1], "wrong_audience"),
    "a list in words": (f'["{AUDIENCE}"]', "wrong_audience"),
}


@pytest.mark.parametrize(("aud", "expected"), AUDIENCES.values(), ids=AUDIENCES.keys())
def test_a_token_is_for_our_audience(aud: object, expected: str) -> None:
    assert reason(verifier(), SIGNER.token(payload=payload_of(aud=aud))) == expected


def test_an_unknown_key_and_a_wrong_signature_are_told_apart() -> None:
    unknown = SIGNER.token(header=SIGNER.header(kid="next-year"))
    forged = (
        SIGNER.token().rpartition(".")[0] + "." + SIGNER.token(payload=b"{}").rpartition(".")[2]
    )

    assert reason(verifier(), unknown) == "unknown_key"
    assert reason(verifier(), forged) == "bad_signature"


def test_nothing_in_a_forged_token_is_judged_before_its_signature() -> None:
    ours, other = signer("Ed25519"), signer("Ed25519", "another")
    hostile = other.token(ours.header(), payload_of(iss="x", exp=0, type="refresh"))

    assert reason(verifier(), hostile) == "bad_signature"


def test_revocation_is_asked_last_and_of_good_tokens_only() -> None:
    checker = verifier()
    checker.revocations.apply([Revocation(1, "session", subject_digest("s-1"), 0, NOW + 1800)])

    assert reason(checker, SIGNER.token()) == "ended"
    assert reason(checker, SIGNER.token(payload=payload_of(exp=NOW))) == "expired"
    assert reason(checker, SIGNER.token(payload=payload_of(sid="s-2"))) == "accepted"


async def test_a_verifier_that_knows_nothing_of_revocations_says_so() -> None:
    keys = KeySet([SIGNER.key])
    blind = Verifier(ISSUER, AUDIENCE, keys=keys, revocations=Revocations(), now=lambda: NOW)

    with pytest.raises(RevocationsStale):
        await blind.verify(SIGNER.token())
    with pytest.raises(InvalidToken):
        await blind.verify(SIGNER.token(payload=payload_of(exp=NOW)))


@pytest.mark.parametrize(
    ("issuer", "audience", "leeway", "max_lifetime"),
    [
        ("", AUDIENCE, 0, 86400),
        (ISSUER, "", 0, 86400),
        (ISSUER, AUDIENCE, -1, 86400),
        (ISSUER, AUDIENCE, 61, 86400),
        (ISSUER, AUDIENCE, 0, 0),
    ],
)
def test_a_verifier_that_would_be_too_lenient_is_not_made(
    issuer: str, audience: str, leeway: int, max_lifetime: int
) -> None:
    with pytest.raises(ValueError, match="must"):
        Verifier(
            issuer,
            audience,
            keys=KeySet([]),
            revocations=Revocations(),
            leeway=leeway,
            max_lifetime=max_lifetime,
        )


def flips(token: str) -> Iterator[str]:
    for place, letter in enumerate(token):
        yield token[:place] + ("A" if letter != "A" else "B") + token[place + 1 :]
        yield token[:place] + token[place + 1 :]


@pytest.mark.parametrize("algorithm", ["Ed25519", "HS256"])
def test_no_letter_of_a_token_can_be_changed_or_left_out(algorithm: str) -> None:
    checker = verifier()

    accepted = [
        token for token in flips(signer(algorithm).token()) if reason(checker, token) == "accepted"
    ]

    assert accepted == []

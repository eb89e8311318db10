"""Hostile requests: what an attacker would send to a service that takes JWTs.

From one valid token and the issuer's published keys, `catalogue` makes everything that a service
must refuse. Nothing secret is needed for most of it, because an attacker has nothing secret:

    forged.py     tokens that the issuer never signed: alg none, the public key as a secret...
    misled.py     tokens that say which key to believe: jwk, jku, x5c, hostile kids
    malformed.py  what has another form than a token: odd headers, JSON, oversized
    respelled.py  the valid token in other spellings
    carried.py    the valid token in places where it should not be looked for
    signed.py     tokens that only the issuer could make: expired, for another audience...
                  These need its private key, so they are for those who test with a test issuer.

What could not be made is listed too, with what would make it possible: nothing is left out
silently. What is made is a function of what is given, but for keys of the attacker's own, which
are made anew in each process.

`limen probe` sends these to a service; `limen.verify.testing` gives them to a test suite.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from limen.verify.hostile import carried, forged, malformed, misled, respelled, signed
from limen.verify.hostile.attacks import ATTACKS, Attack, Severity
from limen.verify.hostile.forging import Signer, Valid, published, read
from limen.verify.hostile.requests import Hostile

__all__ = [
    "ATTACKS",
    "Attack",
    "Catalogue",
    "Hostile",
    "Need",
    "Severity",
    "Signer",
    "Untried",
    "catalogue",
]


Need = Literal["jwks", "key", "ended", "expired"]


@dataclass(frozen=True, slots=True)
class Untried:
    """Attacks that could not be made, and what they need; None if nothing helps."""

    attacks: tuple[str, ...]
    because: str
    needs: Need | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What to send, and what could not be made."""

    hostile: tuple[Hostile, ...]
    untried: tuple[Untried, ...]


def catalogue(
    token: str,
    *,
    jwks: Mapping[str, object] | None = None,
    signer: Signer | None = None,
    ended: str | None = None,
    expired: str | None = None,
    now: float | None = None,
) -> Catalogue:
    """Return all that a service which accepts `token` must refuse.

    `jwks` is the issuer's key set. `signer` is the key that signed the token, if you have it.
    `ended` is a token of a session that was ended but has not expired, and `expired` one that has.

    Raises:
        ValueError: One of the tokens is no compact JWS; the ended one has expired, the expired one
            has not, or one of them is of another issuer; the signer did not sign the token.
    """
    valid = read(token)
    moment = time.time() if now is None else now
    _check(valid, signer, ended, expired, moment)
    hostile: list[Hostile] = []
    untried: list[Untried] = []
    for made in (forged, misled, malformed):
        hostile += made.tokens(valid)
    _with_public_key(valid, jwks, hostile, untried)
    hostile += [*respelled.tokens(valid), *carried.requests(valid)]
    _with_ended(ended, hostile, untried)
    _with_signer(valid, signer, moment, hostile, untried)
    if expired is not None:
        hostile.append(Hostile("an old token", ATTACKS["expired"], expired))
    elif signer is None:
        untried.append(
            Untried(("expired",), "an expired token is needed, or a key to sign one", "expired")
        )
    return Catalogue(tuple(hostile), tuple(untried))


def _check(
    valid: Valid, signer: Signer | None, ended: str | None, expired: str | None, now: float
) -> None:
    """Refuse what would be refused for another reason than the one that is to be tried."""
    signed = valid.token.rpartition(".")[0].encode()
    if signer is not None and not signer.verifies(signed, valid.signature):
        raise ValueError("This key did not sign the token.")
    for name, token in (("ended", ended), ("expired", expired)):
        if token is None:
            continue
        claims = read(token).payload
        if claims.get("iss") != valid.payload.get("iss"):
            raise ValueError(f"The {name} token is of another issuer, and proves nothing.")
        end = claims.get("exp")
        is_over = isinstance(end, int | float) and end <= now
        if is_over != (name == "expired"):
            raise ValueError(
                f"The {name} token has {'' if is_over else 'not '}expired, and proves nothing."
            )


def _with_public_key(
    valid: Valid,
    jwks: Mapping[str, object] | None,
    hostile: list[Hostile],
    untried: list[Untried],
) -> None:
    attacks = ("public-key-as-secret", "encrypted")
    if valid.algorithm.startswith("HS"):
        untried.append(Untried(attacks, "the token is signed with a secret: no key is public"))
        return
    key = None if jwks is None else published(jwks, valid.header.get("kid"))
    if key is None:
        because = "are not known" if jwks is None else "hold no key of this token's kid"
        untried.append(Untried(attacks, f"the issuer's public keys {because}", "jwks"))
        return
    for attack, forge in zip(attacks, (forged.with_public_key, forged.encrypted), strict=True):
        try:
            hostile += forge(valid, key)
        except ValueError as error:
            untried.append(Untried((attack,), str(error).rstrip(".").lower()))


def _with_ended(ended: str | None, hostile: list[Hostile], untried: list[Untried]) -> None:
    if ended is None:
        because = "a token of a session that was ended is needed"
        untried.append(Untried(("ended-session",), because, "ended"))
        return
    hostile.append(Hostile("as it is", ATTACKS["ended-session"], ended))
    hostile += [
        Hostile(again.name, ATTACKS["ended-session"], again.token)
        for again in respelled.tokens(read(ended))
    ]


def _with_signer(
    valid: Valid,
    signer: Signer | None,
    now: float,
    hostile: list[Hostile],
    untried: list[Untried],
) -> None:
    if signer is not None:
        hostile += signed.tokens(valid, signer, now)
        return
    names: Iterable[str] = (name for name in signed.ATTACKS_SIGNED if name != "expired")
    untried.append(Untried(tuple(names), "only the issuer's private key can sign these", "key"))

"""The two tokens of a session: one to show at every door, one to renew it.

    access token     typ at+jwt (RFC 9068), signed; anybody with the public key can check it.
                     Short-lived, and sent with every request.
    refresh token    typ rt+jwt, sealed with HMAC under a key that only limen holds. It names its
                     session by a secret, `fid`, and says how often that session has been
                     refreshed, `gen`. It is sent to limen alone, and never stored here.

A refresh token is a function of its session, its generation and the moment that generation began,
so limen can hand out the same one again, byte for byte, without having kept it. Garbage and
forgeries are refused by the seal, before the database hears of them. A stolen database holds no
`fid`, only its digest; a stolen seal key without a `fid` makes no token that matches a session.
"""

import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from joserfc.jwk import OctKey

from limen.clock import SECOND, Clock
from limen.errors import InvalidRefreshToken
from limen.key_ring import KeyRing, SigningKey
from limen.secret import RootSecret
from limen.verify import base64url, gate
from limen.verify.errors import InvalidToken
from limen.verify.keyset import VerificationKey, sign

ACCESS_TYPE = "at+jwt"
REFRESH_TYPE = "rt+jwt"


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token says of its holder; `scope` and `roles` are words with spaces between.

    `custom` are claims of the application's own (`limen.custom_claims`).
    """

    user_id: str
    sid: str
    cv: int
    scope: str
    roles: str = ""
    email_verified: bool = False
    custom: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Generation:
    """What a refresh token stands for: one generation of one session.

    `rotated_at` is when it began and `abs_exp` when its session ends at the latest (microseconds).
    """

    user_id: str
    fid: str = field(repr=False)
    gen: int
    rotated_at: int
    abs_exp: int


@dataclass(frozen=True, slots=True)
class Presented:
    """An authentic refresh token, which may have expired or been used; times in seconds."""

    user_id: str
    fid: str = field(repr=False)
    gen: int
    issued_at: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a sign-in or a refresh hands out; lifetimes in seconds from now (RFC 6749, 5.1)."""

    access_token: str = field(repr=False)
    expires_in: int
    refresh_token: str = field(repr=False)
    refresh_expires_in: int


class Tokens:
    """Issues both tokens, and opens refresh tokens again. Lifetimes are in seconds."""

    def __init__(
        self,
        ring: KeyRing,
        secret: RootSecret,
        *,
        issuer: str,
        audience: str,
        access_lifetime: int,
        refresh_lifetime: int,
        clock: Clock,
    ) -> None:
        self._ring = ring
        seals = [_seal(key) for key in secret.derive_all("refresh tokens")]
        self._seal = seals[0]
        self._seals = {seal.kid: seal for seal in seals}
        self._issuer = issuer
        self._audience = audience
        self._access_lifetime = access_lifetime
        self._refresh_lifetime = refresh_lifetime
        self._clock = clock

    def issue(self, grant: Grant, generation: Generation) -> TokenPair:
        """Return a new access token, and the refresh token of the generation.

        The access token expires no later than the refresh token beside it: both end with their
        session, and the row that a sign-out needs is swept after both.
        """
        now = self._clock() // SECOND
        refresh_end = self._refresh_expiry(generation)
        access_end = min(now + self._access_lifetime, refresh_end)
        return TokenPair(
            access_token=self._access_token(grant, now, access_end),
            expires_in=max(0, access_end - now),
            refresh_token=self._refresh_token(generation, refresh_end),
            refresh_expires_in=max(0, refresh_end - now),
        )

    def open_refresh_token(self, token: str) -> Presented:
        """Return what an authentic refresh token says, whether or not it is still good.

        Raises:
            InvalidRefreshToken: We did not seal it.
        """
        try:
            unverified = gate.parse(token, typ=REFRESH_TYPE)
        except InvalidToken:
            raise InvalidRefreshToken from None
        seal = self._seals.get(unverified.kid)
        if seal is None or unverified.algorithm != seal.algorithm:
            raise InvalidRefreshToken
        if not seal.verifies(unverified.signed, unverified.signature):
            raise InvalidRefreshToken
        claims = unverified.payload  # we sealed it, so it is well formed
        if claims.get("iss") != self._issuer:
            raise InvalidRefreshToken
        return Presented(
            user_id=str(claims["user_id"]),
            fid=str(claims["fid"]),
            gen=int(str(claims["gen"])),
            issued_at=int(str(claims["iat"])),
            expires_at=int(str(claims["exp"])),
        )

    def _access_token(self, grant: Grant, now: int, expires_at: int) -> str:
        claims = {
            **grant.custom,  # first, so that they take the place of nothing
            "iss": self._issuer,
            "aud": self._audience,
            "sub": grant.user_id,
            "user_id": grant.user_id,
            "sid": grant.sid,
            "jti": secrets.token_urlsafe(16),
            "iat": now,
            "nbf": now,
            "exp": expires_at,
            "type": "access",
            "cv": grant.cv,
            "scope": grant.scope,
            "email_verified": grant.email_verified,
            **({"roles": grant.roles.split(" ")} if grant.roles else {}),
        }
        return _signed(ACCESS_TYPE, self._ring.signing, claims)

    def _refresh_token(self, generation: Generation, expires_at: int) -> str:
        claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": generation.user_id,
            "user_id": generation.user_id,
            "fid": generation.fid,
            "gen": generation.gen,
            "iat": generation.rotated_at // SECOND,
            "exp": expires_at,
            "jti": digest(f"{generation.fid}.{generation.gen}")[:22],
            "type": "refresh",
        }
        return _signed(REFRESH_TYPE, self._seal, claims)

    def _refresh_expiry(self, generation: Generation) -> int:
        sliding = generation.rotated_at // SECOND + self._refresh_lifetime
        return min(sliding, generation.abs_exp // SECOND)


def digest(secret: str) -> str:
    """Return what the database knows of a random secret (SHA-256, 43 characters of base64url)."""
    return base64url.encode(hashlib.sha256(secret.encode()).digest())


def fid_digest(fid: str) -> str:
    """Return what the database knows a session by (SHA-256, its first 128 bits in hexadecimal).

    A session's fid has 256 random bits, so nobody finds another one of this digest.
    """
    return hashlib.sha256(fid.encode()).hexdigest()[:32]


def _seal(key: bytes) -> VerificationKey:
    """Return the seal with a name of its own, by which a token says which secret sealed it."""
    name = hashlib.sha256(b"name of seal " + key).hexdigest()[:12]
    return VerificationKey(f"seal-{name}", "HS256", OctKey.import_key(key))


def _signed(typ: str, key: SigningKey | VerificationKey, claims: dict[str, object]) -> str:
    payload = json.dumps(claims, separators=(",", ":")).encode()
    signed = f"{_header(key.algorithm, typ, key.kid)}.{base64url.encode(payload)}"
    return f"{signed}.{base64url.encode(sign(key.algorithm, key.key, signed.encode()))}"


@lru_cache(maxsize=64)
def _header(algorithm: str, typ: str, kid: str) -> str:
    header = {"alg": algorithm, "typ": typ, "kid": kid}
    return base64url.encode(json.dumps(header, separators=(",", ":")).encode())

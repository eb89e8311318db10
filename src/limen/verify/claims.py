"""What a good access token says, as a value.

The names on the wire are those of RFC 7519 and RFC 9068; the names here are words. A `Claims`
says only that every claim is there and has the right shape. That the signature, the issuer, the
audience and the time are right is the verifier's to say.

Integers are integers: limen issues no other, and a `true` or a `1.5` in place of a time is a
token that somebody else made.

What the application behind limen has added (`limen.custom_claims`) is kept as the text it was: a
`Claims` is handed to many requests, and must not be changed by one of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from limen.verify.errors import InvalidToken

# What limen itself says in an access token; all else is the application's.
OWN: Final = frozenset(
    {
        *("iss", "aud", "sub", "user_id", "sid", "jti", "iat", "nbf", "exp"),
        *("type", "cv", "scope", "roles", "email_verified"),
    }
)


@dataclass(frozen=True, slots=True)
class Claims:
    """Who is calling, in which session, with what permission, and until when.

    `user_id`, `sid` (the session) and `jti` (this token) are opaque. `cv` is the account's
    credential version when the token was issued. Times are in whole seconds since the Unix epoch.
    `roles` are those of RFC 9068, section 2.2.3.1; `email_verified` is OpenID Connect's, and says
    whether the account's owner had shown that he reads the mail of its address. `extra` are the
    claims that limen knows nothing about; `extra_json` is their text.
    """

    user_id: str
    sid: str
    jti: str
    issuer: str
    audience: tuple[str, ...]
    issued_at: int
    not_before: int
    expires_at: int
    cv: int
    scopes: frozenset[str]
    roles: frozenset[str] = frozenset()
    email_verified: bool = False
    extra_json: str = field(default="{}", repr=False)

    @property
    def extra(self) -> dict[str, Any]:
        """The application's own claims: at each reading a copy of its own."""
        read: dict[str, Any] = json.loads(self.extra_json)
        return read

    @classmethod
    def from_payload(cls, payload: Mapping[str, object]) -> Self:
        """Read the claims of an access token. Claims that we do not know are `extra`.

        Raises:
            InvalidToken: "wrong_type" if `type` is not "access"; "bad_claims" if a claim is
                missing or misshapen, or `sub` and `user_id` differ.
        """
        if payload.get("type") != "access":
            raise InvalidToken("wrong_type")
        user_id = _text(payload, "user_id")
        if payload.get("sub") != user_id:
            raise InvalidToken("bad_claims")
        return cls(
            user_id=user_id,
            sid=_text(payload, "sid"),
            jti=_text(payload, "jti"),
            issuer=_text(payload, "iss"),
            audience=_audience(payload),
            issued_at=_whole(payload, "iat"),
            not_before=_whole(payload, "nbf"),
            expires_at=_whole(payload, "exp"),
            cv=_whole(payload, "cv"),
            scopes=_scopes(payload),
            roles=_roles(payload),
            email_verified=_switch(payload, "email_verified"),
            extra_json=_extra(payload),
        )


def _text(payload: Mapping[str, object], name: str) -> str:
    value = payload.get(name)
    if type(value) is not str or not value:
        raise InvalidToken("bad_claims")
    return value


def _whole(payload: Mapping[str, object], name: str) -> int:
    value = payload.get(name)
    if type(value) is not int or value < 0:  # a bool is an int to isinstance
        raise InvalidToken("bad_claims")
    return value


def _audience(payload: Mapping[str, object]) -> tuple[str, ...]:
    value = payload.get("aud")
    audience = value if isinstance(value, list) else [value]
    if not audience or not all(isinstance(name, str) and name for name in audience):
        raise InvalidToken("bad_claims")
    return tuple(audience)


def _scopes(payload: Mapping[str, object]) -> frozenset[str]:
    value = payload.get("scope")
    if not isinstance(value, str):
        raise InvalidToken("bad_claims")
    return frozenset(value.split(" ")) - {""}


def _roles(payload: Mapping[str, object]) -> frozenset[str]:
    value = payload.get("roles", [])
    if not isinstance(value, list) or not all(isinstance(role, str) and role for role in value):
        raise InvalidToken("bad_claims")
    return frozenset(value)


def _switch(payload: Mapping[str, object], name: str) -> bool:
    value = payload.get(name, False)
    if not isinstance(value, bool):
        raise InvalidToken("bad_claims")
    return value


def _extra(payload: Mapping[str, object]) -> str:
    return json.dumps({name: payload[name] for name in sorted(payload.keys() - OWN)})

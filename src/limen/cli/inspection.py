"""What can be said about a token: what it claims, who signed it, and whether limen would take it.

The verdict is that of the code which judges tokens in earnest: the verifier for access tokens, the
seal and the session's row for refresh tokens. No session is written to, so that a refresh
token looked at is not a refresh token used.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Row, select

from limen.cli.output import moment
from limen.clock import SECOND, system_clock
from limen.database.schema import accounts, sessions
from limen.errors import InvalidRefreshToken
from limen.features import Features
from limen.tokens import ACCESS_TYPE, REFRESH_TYPE, Presented, fid_digest
from limen.verify import gate
from limen.verify.errors import InvalidToken
from limen.verify.strict_json import StrictJSONError, loads

_KINDS = {ACCESS_TYPE: "access", REFRESH_TYPE: "refresh"}
_MOMENTS = frozenset({"iat", "nbf", "exp"})
_HIDDEN = frozenset({"fid"})  # with it, and the seal's key, a refresh token could be made

# Why a token is refused, None if it is not, and the same in a sentence.
Verdict = tuple[str | None, str]

_ACCEPTED: Verdict = (None, "This limen takes it.")
_END_OF_TIME = 253402300800  # the year 10000, for which there is no date

_SIGNATURES = {
    True: "good: made by this limen",
    False: "bad: not made with the key that it names",
    None: "not checked: no key that limen has is named, or the token is malformed",
}


@dataclass(frozen=True, slots=True)
class Inspection:
    """`kind` is "access", "refresh" or "unknown"; `signature_good` is None if not checked."""

    kind: str
    header: Mapping[str, object] | None
    claims: Mapping[str, object] | None
    signature_good: bool | None
    accepted: bool
    reason: str | None
    detail: str

    def document(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the inspection as a person reads it."""
        kind = "token of an unknown kind" if self.kind == "unknown" else f"{self.kind} token"
        lines = [f"A{'n' if kind[0] == 'a' else ''} {kind}"]
        for title, members in (("Header", self.header), ("Claims", self.claims)):
            lines += ["", title]
            lines += [
                f"  {name:<10}{_shown(name, value)}" for name, value in (members or {}).items()
            ]
            if members is None:
                lines.append("  cannot be decoded")
        verdict = "accepted" if self.accepted else "refused"
        return [
            *lines,
            "",
            f"Signature   {_SIGNATURES[self.signature_good]}",
            f"Verdict     {verdict}: {self.detail}",
        ]


async def inspect(features: Features, token: str) -> Inspection:
    """Inspect any text as a token."""
    header, claims = _decoded(token)
    kind = _KINDS.get(str((header or {}).get("typ")), "unknown")
    signature_good: bool | None
    if kind == "refresh":
        signature_good, (reason, detail) = await _judge_refresh_token(features, token)
    else:
        signature_good = _signature_good(features, token)
        reason, detail = _judge_access_token(features, token)
    return Inspection(
        kind=kind,
        header=header,
        claims=claims and {n: "hidden" if n in _HIDDEN else v for n, v in claims.items()},
        signature_good=signature_good,
        accepted=reason is None,
        reason=reason,
        detail=detail,
    )


def _decoded(token: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    try:
        header, payload, _ = gate.split(token)
    except InvalidToken:
        return None, None
    return _object(header), _object(payload)


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        value = loads(raw)
    except StrictJSONError:
        return None
    return value if isinstance(value, dict) else None


def _signature_good(features: Features, token: str) -> bool | None:
    try:
        unverified = gate.parse(token)
    except InvalidToken:
        return None
    key = features.memory.ring.find(unverified.kid)
    if key is None:
        return None
    return key.algorithm == unverified.algorithm and key.verifies(
        unverified.signed, unverified.signature
    )


def _judge_access_token(features: Features, token: str) -> Verdict:
    try:
        features.memory.verifier.check(token)
    except InvalidToken as refusal:
        return refusal.reason, refusal.detail
    return _ACCEPTED


async def _judge_refresh_token(features: Features, token: str) -> tuple[bool, Verdict]:
    try:
        presented = features.tokens.open_refresh_token(token)
    except InvalidRefreshToken:
        return False, ("bad_seal", "It was not sealed by this limen, or not for this issuer.")
    which = sessions.c.fid_hash == fid_digest(presented.fid)
    of_now = select(sessions, accounts.c.cv.label("account_cv"))
    joined = of_now.join(accounts, accounts.c.user_id == sessions.c.user_id)
    async with features.database.read() as connection:
        row = (await connection.execute(joined.where(which))).one_or_none()
    return True, _judge_session(presented, row)


def _judge_session(presented: Presented, row: Row[Any] | None) -> Verdict:
    now = system_clock()
    if row is None:
        return "ended", "Its session is not known any more: it ended or expired long ago."
    if row.ended_at is not None or row.cv != row.account_cv:
        why = f" ({row.end_reason})" if row.end_reason else ""
        return "ended", f"Its session has ended{why}: sign in again."
    if min(presented.expires_at * SECOND, row.abs_exp) <= now:
        return "expired", "It has expired: sign in again."
    if presented.gen < row.gen:
        return "used", (
            "It has been used already. Presented again, it ends its session, "
            "unless it is a retry with the same Idempotency-Key."
        )
    return _ACCEPTED


def _shown(name: str, value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if name not in _MOMENTS or not isinstance(value, int) or not 0 <= value < _END_OF_TIME:
        return text
    return f"{text}  ({moment(value * SECOND)})"

"""Introspection: what a token is worth just now, told without changing anything (RFC 7662).

    access token     active if the verifier lets it pass: what every guarded route asks
    refresh token    active if a refresh would accept it: its session goes on, its account's
                     credentials are unchanged, and it is not older than the session's generation

Looking at a refresh token is not using it. It is not rotated, and an old one is not a replay: it is
inactive, and its session goes on. Whatever is not active is None, whatever the reason, so that
nobody learns more from a token that he found than that it is worthless.

What is not known is not said: if the revocations were not read lately, an access token is neither
active nor inactive, and `RevocationsStale` is raised.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select

from limen.clock import SECOND, Clock
from limen.database.engine import Database
from limen.database.schema import accounts, sessions
from limen.errors import InvalidRefreshToken
from limen.tokens import Presented, Tokens, fid_digest
from limen.verify.claims import Claims
from limen.verify.errors import InvalidToken
from limen.verify.verifier import Verifier


@dataclass(frozen=True, slots=True)
class ActiveAccessToken:
    """An access token that opens guarded routes."""

    claims: Claims

    def members(self) -> dict[str, Any]:
        """Return what it says, by the names of RFC 7662 and, where it has none, the token's own.

        Without scopes there is no `scope`, and without roles, as in the token, no `roles`. The
        application's own claims are among them, and take the place of none of limen's.
        """
        claims = self.claims
        only, *others = claims.audience
        scope = {"scope": " ".join(sorted(claims.scopes))} if claims.scopes else {}
        roles = {"roles": sorted(claims.roles)} if claims.roles else {}
        return {
            **claims.extra,
            **scope,
            **roles,
            "token_type": "Bearer",
            "type": "access",
            "exp": claims.expires_at,
            "iat": claims.issued_at,
            "nbf": claims.not_before,
            "sub": claims.user_id,
            "aud": [only, *others] if others else only,
            "iss": claims.issuer,
            "jti": claims.jti,
            "sid": claims.sid,
            "cv": claims.cv,
            "email_verified": claims.email_verified,
        }


@dataclass(frozen=True, slots=True)
class ActiveRefreshToken:
    """A refresh token that could be exchanged; times in seconds."""

    user_id: str
    sid: str
    cv: int
    issuer: str
    issued_at: int
    expires_at: int

    def members(self) -> dict[str, Any]:
        """Return what it says. It opens no route: it has no `token_type` and no `scope`."""
        return {
            "type": "refresh",
            "exp": self.expires_at,
            "iat": self.issued_at,
            "sub": self.user_id,
            "aud": self.issuer,
            "iss": self.issuer,
            "sid": self.sid,
            "cv": self.cv,
        }


class Introspection:
    """Looks at tokens."""

    def __init__(
        self, database: Database, tokens: Tokens, verifier: Verifier, *, issuer: str, clock: Clock
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._verifier = verifier
        self._issuer = issuer
        self._clock = clock

    async def look(self, token: str) -> ActiveAccessToken | ActiveRefreshToken | None:
        """Return what an active token says, and None for any other text.

        Raises:
            RevocationsStale: It is an access token, and what was revoked is not known well enough.
            DatabaseUnavailable: It is a refresh token, and its session cannot be looked up.
        """
        try:
            presented = self._tokens.open_refresh_token(token)
        except InvalidRefreshToken:
            return await self._as_access_token(token)
        return self._judge(presented, await self._session(presented))

    async def _as_access_token(self, token: str) -> ActiveAccessToken | None:
        try:
            return ActiveAccessToken(await self._verifier.verify(token))
        except InvalidToken:
            return None

    async def _session(self, presented: Presented) -> Row[Any] | None:
        which = sessions.c.fid_hash == fid_digest(presented.fid)
        of_now = select(sessions, accounts.c.cv.label("account_cv"))
        joined = of_now.join(accounts, accounts.c.user_id == sessions.c.user_id)
        async with self._database.read() as connection:
            return (await connection.execute(joined.where(which))).one_or_none()

    def _judge(self, presented: Presented, session: Row[Any] | None) -> ActiveRefreshToken | None:
        """Judge as `limen.refresh` does, where a token newer than its row is authentic too."""
        if session is None or session.ended_at is not None or session.cv != session.account_cv:
            return None
        now = self._clock()
        if presented.gen < session.gen or session.abs_exp <= now:
            return None
        if presented.expires_at <= now // SECOND:
            return None
        return ActiveRefreshToken(
            user_id=presented.user_id,
            sid=session.sid,
            cv=session.cv,
            issuer=self._issuer,
            issued_at=presented.issued_at,
            expires_at=presented.expires_at,
        )

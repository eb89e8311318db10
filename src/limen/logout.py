"""Signing out: ends the session that a token names, at once, for all its tokens.

A token need not be good to sign out with, only authentic: a client that slept for an hour wants
its session ended too. What we did not make ends nothing, and nobody is told.
"""

from limen.errors import InvalidRefreshToken
from limen.sessions import Sessions
from limen.tokens import Tokens
from limen.verify.errors import InvalidToken
from limen.verify.verifier import Verifier


class Logout:
    """Ends sessions by their tokens."""

    def __init__(self, sessions: Sessions, tokens: Tokens, verifier: Verifier) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._verifier = verifier

    async def sign_out(self, *, refresh_token: str | None, access_token: str | None) -> None:
        """End the sessions of these tokens.

        Raises:
            DatabaseUnavailable, RevocationsStale: They have not ended; try again.
        """
        if refresh_token is not None:
            await self._by_refresh_token(refresh_token)
        if access_token is not None:
            await self._by_access_token(access_token)

    async def _by_refresh_token(self, token: str) -> None:
        try:
            presented = self._tokens.open_refresh_token(token)
        except InvalidRefreshToken:
            return
        await self._sessions.end_by_fid(presented.fid, "logout")

    async def _by_access_token(self, token: str) -> None:
        try:
            claims = await self._verifier.identify(token)
        except InvalidToken:
            return
        await self._sessions.end_by_sid(claims.sid, "logout")

"""The rules by which a session is kept, without any input or output of their own.

Each rule is a generator. It yields what is to be done, a `Call` to limen or a `Pause`, and is sent
the answer; `limen.client.auth` does it in a thread or a task, and the tests in virtual time.

    is it time?     a minute before the access token ends, or when it was refused. Both moments
                    are read from the clock of this machine, so a wrong one does no harm
    one at a time   under the lock of the store, which is read again once the lock is had: whoever
                    was faster has done it
    before sending  a random retry key is stored beside the refresh token. Whoever refreshes this
                    token, now or after a crash, uses that key. It is the token's: an answer
                    that brings the same refresh token again leaves the key, too, because the
                    network may have doubled the request, and still bring it
    undecided       no answer, 5xx, 408, 429, or 409 "somebody was faster" while the store still
                    has the same token: the same token with the same key again, after Retry-After
                    or a second, then two, then four; then `LimenUnavailable`. All is kept
    decided         200: the new pair is stored. 401 `invalid_refresh_token`: the store is cleared.
                    Either only if the store still has the token that was sent

A store is bound to the limen that its session is from. With another address it is not used: nothing
is sent, and nothing is cleared.

While the access token is still good there is no hurry: a refresh ahead of its end is tried once,
by whoever gets the lock at once, and all others go on with the token they have.
"""

import logging
import random
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus

from limen.client.calls import (
    LONGEST_CALL,
    PAUSES,
    Call,
    Credentials,
    Pause,
    Steps,
    answer_to,
    is_problem,
    pair_in,
    pause_after,
    retry_after,
)
from limen.client.errors import (
    LimenUnavailable,
    NotSignedIn,
    SignedOut,
    SignInRefused,
    SignOutUnconfirmed,
    StoreUnusable,
    TooManySignIns,
)
from limen.client.stores import Kept, Release, Store, Tokens

# Refreshed this long before the end, or a quarter of the lifetime if that is less.
MARGIN_SECONDS = 60.0
# Nobody stands in line for a limen that is away: a refresh ahead of time is tried so often.
EARLY_PAUSE = 5.0
# A refresh with all its attempts, and the sign-in that may follow it, take less.
LOCK_SECONDS = 2 * LONGEST_CALL
LOCK_POLLS = (0.005, 0.25)  # the first pause and the longest

_logger = logging.getLogger("limen.client")


class Keeper:
    """Keeps a session of the limen at `url` in a store.

    With credentials, it signs in where nobody is.
    """

    def __init__(
        self, url: str, store: Store, credentials: Credentials | None, clock: Callable[[], float]
    ) -> None:
        self._url = url
        self._store = store
        self._credentials = credentials
        self._clock = clock
        self._early_again_at = float("-inf")
        self._refused = False

    def tokens(self, refused: str | None = None) -> Steps[Tokens]:
        """Return tokens that serve; `refused` is an access token that was answered with 401.

        Raises:
            ClientError: There is none, or none to be had just now.
        """
        tokens = self._load().tokens
        if tokens and self._is_fresh(tokens, refused):
            return tokens
        spare = tokens if tokens and self._still_serves(tokens, refused) else None
        if spare and 0 <= self._early_again_at - self._clock() <= EARLY_PAUSE:
            return spare
        release = yield from self._lock(0 if spare else LOCK_SECONDS)
        if release is None:
            if spare:
                return spare
            raise LimenUnavailable("another request has been at it for a long time")
        try:
            return (yield from self._renewed(refused, () if spare else PAUSES))
        except LimenUnavailable:
            if not spare:
                raise
            self._early_again_at = self._clock() + EARLY_PAUSE
            return spare
        finally:
            release()

    def sign_in(self, credentials: Credentials) -> Steps[None]:
        """Start a session, and keep it instead of the one there is, which ends if limen hears it.

        Raises:
            ClientError: limen has refused, or cannot be asked.
        """
        release = yield from self._lock(LOCK_SECONDS)
        try:
            former = self._load()
            yield from self._signed_in(former, credentials)
        finally:
            if release:
                release()
        if former.tokens:
            with suppress(SignOutUnconfirmed):
                yield from self._ended(former.tokens, pauses=())

    def sign_out(self) -> Steps[None]:
        """End the session, and forget it whatever comes of that.

        Raises:
            SignOutUnconfirmed: It is forgotten here, but limen could not be told.
        """
        release = yield from self._lock(LOCK_SECONDS)
        try:
            if tokens := self._load().tokens:
                try:
                    yield from self._ended(tokens, PAUSES)
                finally:
                    self._forget(tokens)
        finally:
            if release:
                release()

    def _load(self) -> Kept:
        """Return what is kept from this limen. Only the name of a device may be thrown away."""
        kept = self._store.load()
        if kept.issuer == self._url:
            return kept
        if kept.tokens is None:
            return Kept(issuer=self._url)
        what = str(getattr(self._store, "path", "The store"))
        raise StoreUnusable(what, "holds a session of another limen", "Name another path.")

    def _forget(self, tokens: Tokens) -> bool:
        """Clear the store if it still has these; say whether it had."""
        kept = self._load()
        if kept.tokens is None or kept.tokens.refresh_token != tokens.refresh_token:
            return False
        self._store.save(replace(kept, tokens=None))
        return True

    def _is_fresh(self, tokens: Tokens, refused: str | None) -> bool:
        margin = min(MARGIN_SECONDS, tokens.expires_in / 4)
        age = self._clock() - tokens.received_at
        return tokens.access_token != refused and 0 <= age < tokens.expires_in - margin

    def _still_serves(self, tokens: Tokens, refused: str | None) -> bool:
        age = self._clock() - tokens.received_at
        return tokens.access_token != refused and age < tokens.expires_in

    def _lock(self, seconds: float) -> Steps[Release | None]:
        pause, longest = LOCK_POLLS
        while True:
            if release := self._store.try_lock():
                return release
            if seconds <= 0:
                return None
            yield Pause(pause * random.uniform(0.5, 1.0))  # noqa: S311  no secret
            seconds -= pause
            pause = min(2 * pause, longest)

    def _renewed(self, refused: str | None, pauses: tuple[float, ...]) -> Steps[Tokens]:
        """Do what is to be done, now that nobody else does it."""
        kept = self._load()
        if kept.tokens is None:
            if self._refused or self._credentials is None:
                raise SignInRefused if self._refused else NotSignedIn
            return (yield from self._signed_in(kept, self._credentials))
        if self._is_fresh(kept.tokens, refused):
            return kept.tokens
        try:
            return (yield from self._refreshed(kept, kept.tokens, pauses))
        except SignedOut as signed_out:
            _logger.warning("%s", signed_out)
            if self._credentials is None:
                raise
            return (yield from self._signed_in(self._load(), self._credentials))

    def _refreshed(self, kept: Kept, tokens: Tokens, pauses: tuple[float, ...]) -> Steps[Tokens]:
        key = tokens.retry_key or secrets.token_urlsafe(24)
        if tokens.retry_key is None:
            self._store.save(replace(kept, tokens=replace(tokens, retry_key=key)))
        call = Call("/refresh", {"refresh_token": tokens.refresh_token}, {"Idempotency-Key": key})
        for pause in (*pauses, None):
            asked_at = self._clock()
            answer = yield from answer_to(call)
            stored = self._load()
            if stored.tokens is None:
                raise NotSignedIn
            if stored.tokens.refresh_token != tokens.refresh_token:
                return stored.tokens  # somebody else has decided it, whatever we were told
            if pair := pair_in(answer, asked_at, tokens.account):
                if pair.refresh_token == tokens.refresh_token:
                    pair = replace(pair, retry_key=key)
                self._store.save(replace(stored, tokens=pair))
                return pair
            if is_problem(answer, 401, "invalid_refresh_token"):
                self._store.save(replace(stored, tokens=None))
                raise SignedOut
            yield from pause_after(call, answer, pause)
        raise AssertionError  # pause_after raises where there is no pause left

    def _signed_in(self, kept: Kept, credentials: Credentials) -> Steps[Tokens]:
        headers = {"Limen-Device": kept.device} if kept.device else {}
        body = {"email": credentials.email, "password": credentials.password}
        call = Call("/login", body, headers)
        for pause in (*PAUSES, None):
            asked_at = self._clock()
            answer = yield from answer_to(call)
            if pair := pair_in(answer, asked_at, credentials.account):
                device = answer.headers.get("limen-device", kept.device)
                self._store.save(Kept(pair, device, self._url))
                self._refused = False
                return pair
            if is_problem(answer, 401, "invalid_credentials"):
                self._refused = credentials is self._credentials  # each failure counts: only once
                raise SignInRefused
            if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
                raise TooManySignIns(retry_after(answer))
            yield from pause_after(call, answer, pause)
        raise AssertionError

    def _ended(self, tokens: Tokens, pauses: tuple[float, ...]) -> Steps[None]:
        call = Call("/logout", {"refresh_token": tokens.refresh_token})
        for pause in (*pauses, None):
            answer = yield from answer_to(call)
            if answer.status == HTTPStatus.NO_CONTENT:
                return
            try:
                yield from pause_after(call, answer, pause)
            except LimenUnavailable:
                raise SignOutUnconfirmed from None

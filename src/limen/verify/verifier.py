"""Is this access token good, here and now?

The order is the security. Nothing in a token is believed before its signature holds, and the
cheap refusals come first:

    gate          the one spelling that limen issues; nothing else is looked at
    key           found by kid; the algorithm is the key's, and the header must agree
    signature     by that key, with that one algorithm; only then the payload is read, but for
                  when it says that it was issued, which decides whether to look for a new key
    claims        all there, of the right shape; an access token, for this user
    recipient     from our issuer, exactly; for our audience
    time          issued, valid by now, not expired, and not made to live longer than allowed
    revocations   the session goes on and the credentials are unchanged

Everything happens in memory. Clocks differ, so `leeway` forgives an issuer whose clock is ahead
of ours; it never adds to a token's life: an expired token is expired, and a revoked one revoked.
"""

import time
from collections.abc import Callable

from limen.verify.claims import Claims
from limen.verify.errors import InvalidToken, RevocationsStale, UnknownKey
from limen.verify.gate import Unverified, parse
from limen.verify.issuer import Issuer
from limen.verify.keyset import Keys, VerificationKey
from limen.verify.revocations import Revocations
from limen.verify.token_cache import SIZE, TokenCache, Verified

# However an issuer is configured, a token that outlives a day is no access token.
MAX_LIFETIME_SECONDS = 86400

# More than a minute is a broken clock, not a late one.
MAX_LEEWAY_SECONDS = 60


class Verifier:
    """Verifies the access tokens of one issuer for one audience.

    Without `keys` they are fetched from the issuer, and its revocations followed
    (`limen.verify.issuer`). `max_lifetime` and `leeway` are in seconds. `now` gives seconds since
    the Unix epoch. `cached` is how many verified tokens are remembered, so that their signatures
    are not computed again.

    Raises:
        ValueError: The issuer or audience is empty, or the leeway or lifetime out of range; the
            issuer cannot be reached safely; keys were given without revocations.
    """

    def __init__(
        self,
        issuer: str,
        audience: str,
        *,
        keys: Keys | None = None,
        revocations: Revocations | None = None,
        max_lifetime: int = MAX_LIFETIME_SECONDS,
        leeway: int = 0,
        now: Callable[[], float] = time.time,
        cached: int = SIZE,
    ) -> None:
        if not issuer or not audience:
            raise ValueError("The issuer and the audience must not be empty.")
        if not 0 <= leeway <= MAX_LEEWAY_SECONDS:
            raise ValueError(f"The leeway must be 0 to {MAX_LEEWAY_SECONDS} seconds.")
        if max_lifetime <= 0:
            raise ValueError("The maximum lifetime must be positive.")
        self._own: Issuer | None = None
        if keys is None:
            keys = self._own = Issuer(issuer)
        if isinstance(keys, Issuer) and keys.url != issuer:
            raise ValueError("The keys are those of another issuer: where it is reached is `at`.")
        if revocations is None:
            if not isinstance(keys, Issuer):
                raise ValueError("Give the revocations with the keys, or an Issuer for both.")
            revocations = keys.revocations
        self.revocations = revocations
        self._issuer = issuer
        self._audience = audience
        self._keys = keys
        self._cache = TokenCache(cached)
        self._max_lifetime = max_lifetime
        self._leeway = leeway
        self._now = now

    async def verify(self, token: str) -> Claims:
        """Return the claims of a good token; raises what `check` raises.

        A token whose key is not known is judged when the keys have been read anew: its key may
        have been made a moment ago.
        """
        try:
            return self.check(token)
        except UnknownKey:
            await self._learn_its_key(token)
        return self.check(token)

    async def identify(self, token: str) -> Claims:
        """Return the claims of an authentic token; raises what `authenticate` raises.

        Like `verify` it waits for keys, and raises RevocationsStale if they cannot be read.
        """
        try:
            return self.authenticate(token)
        except UnknownKey:
            await self._learn_its_key(token)
        return self.authenticate(token)

    def verify_blocking(self, token: str) -> Claims:
        """Do the same as `verify` in a thread that may wait, as those of a WSGI server may."""
        try:
            return self.check(token)
        except UnknownKey:
            if not self._keys.renew_blocking(*_named(token)):
                raise RevocationsStale from None
        return self.check(token)

    def check(self, token: str) -> Claims:
        """Return the claims of a good token.

        Raises:
            InvalidToken: It is not good; `reason` says why.
            RevocationsStale: It would be good, but what was revoked is not known well enough.
        """
        claims = self.authenticate(token)
        self._check_times(claims)
        self.revocations.check(claims)
        return claims

    def authenticate(self, token: str) -> Claims:
        """Return the claims of a token that is authentic, whether or not it is still good.

        For signing out, which an expired token must be able to do; never for letting anybody in.

        Raises:
            InvalidToken: It is not authentic; `reason` says why.
        """
        known = self._cache.get(token)
        if known is not None and self._keys.find(known.key.kid) is known.key:
            return known.claims
        unverified = parse(token)
        key = self._signer(unverified)
        claims = Claims.from_payload(unverified.payload)
        self._check_recipient(claims)
        self._cache.put(token, Verified(claims, key))
        return claims

    def close(self) -> None:
        """Stop following the issuer, if this verifier was made without keys.

        A later token would start it again. A verifier that nobody has any more is closed by itself.
        """
        if self._own is not None:
            self._own.close()

    async def _learn_its_key(self, token: str) -> None:
        if not await self._keys.renew(*_named(token)):
            raise RevocationsStale from None

    def _signer(self, token: Unverified) -> VerificationKey:
        key = self._keys.find(token.kid)
        if key is None:
            raise UnknownKey
        if key.algorithm != token.algorithm or not key.verifies(token.signed, token.signature):
            raise InvalidToken("bad_signature")
        return key

    def _check_recipient(self, claims: Claims) -> None:
        if claims.issuer != self._issuer:
            raise InvalidToken("wrong_issuer")
        if self._audience not in claims.audience:
            raise InvalidToken("wrong_audience")

    def _check_times(self, claims: Claims) -> None:
        now = self._now()
        if claims.expires_at <= now:
            raise InvalidToken("expired")
        if max(claims.issued_at, claims.not_before) > now + self._leeway:
            raise InvalidToken("not_yet_valid")
        if claims.expires_at - claims.issued_at > self._max_lifetime:
            raise InvalidToken("bad_claims")


def _named(token: str) -> tuple[str, int]:
    """Return the kid that a token names, and when it says that it was issued."""
    unverified = parse(token)
    issued_at = unverified.payload.get("iat")
    return unverified.kid, issued_at if isinstance(issued_at, int) else 0

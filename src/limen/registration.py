"""Registering: opening an account for oneself.

The slot of the limit is taken first, because a registration costs a hash; it is kept, whatever
comes of it. Whether anybody may register at all is the operator's choice.
"""

from limen.accounts import Account, Accounts
from limen.clients import bucket
from limen.errors import RegistrationClosed
from limen.rate_limits import Policy, RateLimits


class Registration:
    """Opens accounts for whoever asks, if `is_open`, within the `policy` of an address prefix."""

    def __init__(
        self, accounts: Accounts, limits: RateLimits, *, is_open: bool, policy: Policy
    ) -> None:
        self._accounts = accounts
        self._limits = limits
        self._is_open = is_open
        self._policy = policy

    async def register(self, email: str, password: str, address: str) -> Account:
        """Open an account; `address` is where the request comes from.

        Raises:
            RegistrationClosed: Nobody may register.
            TooManyAttempts: This address prefix has registered too often.
            InvalidRequest: The e-mail address or the password is not acceptable.
            EmailTaken: There is an account with this address.
            Busy: The hashing queue is full.
            DatabaseUnavailable: Nothing was created.
        """
        if not self._is_open:
            raise RegistrationClosed
        async with self._limits.attempt(self._limits.bucket(self._policy, bucket(address))):
            return await self._accounts.create(email, password)

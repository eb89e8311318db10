"""The limits on attempts, as the settings have them: what is counted, and how many are admitted.

Their names stand in RateLimit headers, metrics and logs.

    login              failed sign-ins of an account
    login-device       the same of one known device of it
    login-address      failed sign-ins from an address prefix
    register-address   new accounts from an address prefix
    client-address     wrong client credentials from an address prefix
    mail               mails that strangers can cause to a mailbox
    mail-address       mails that an address prefix can cause
    code               wrong codes for an account
    code-address       wrong codes from an address prefix
"""

from dataclasses import dataclass, fields
from typing import Self

from limen.rate_limits import Policy
from limen.settings import Limit, Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """One policy for each thing that is counted."""

    login: Policy
    login_device: Policy
    login_address: Policy
    register_address: Policy
    client_address: Policy
    mail: Policy
    mail_address: Policy
    code: Policy
    code_address: Policy

    @classmethod
    def of(cls, settings: Settings) -> Self:
        limits = {
            "login": settings.login_limit,
            "login_device": settings.login_limit,
            "login_address": settings.login_address_limit,
            "register_address": settings.register_address_limit,
            "client_address": settings.login_address_limit,
            "mail": settings.mail_limit,
            "mail_address": settings.mail_address_limit,
            "code": settings.code_limit,
            "code_address": settings.login_address_limit,
        }
        return cls(**{name: _policy(name, limit) for name, limit in limits.items()})


def _policy(member: str, limit: Limit) -> Policy:
    return Policy(_name(member), limit.quota, limit.window)


def _name(member: str) -> str:
    return member.replace("_", "-")


LIMIT_NAMES = tuple(_name(member.name) for member in fields(Policies))

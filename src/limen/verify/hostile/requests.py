"""One hostile request, as it is to be sent."""

from dataclasses import dataclass, field

from limen.verify.hostile.attacks import Attack


@dataclass(frozen=True, slots=True)
class Hostile:
    """One request that a service must refuse.

    `headers` and `query` say how the token is carried, if not in one Authorization header; they
    are to be sent as they are.
    """

    name: str
    attack: Attack
    token: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] | None = field(default=None, repr=False)
    query: str = field(default="", repr=False)

    @property
    def explanation(self) -> str:
        return self.attack.why

    @property
    def fix(self) -> str:
        return self.attack.fix

    @property
    def sent(self) -> tuple[tuple[str, str], ...]:
        """The headers of the request that carry it."""
        if self.headers is not None:
            return self.headers
        return (("Authorization", f"Bearer {self.token}"),)

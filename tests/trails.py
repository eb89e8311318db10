"""The audit trail in the hands of somebody who may write to the database, and lacks the secret."""

from collections.abc import Sequence

from sqlalchemy import delete, insert, update

from limen.audit_chain import Entry, Link, bound
from limen.database.schema import audit, audit_head
from limen.events import AccountChanged, Event, SessionEnded, SignIn
from limen.limen import Limen
from limen.origin import Origin, coming_from
from tests.stored import rows

ADA, BOB = "a" * 32, "b" * 32
HOME = Origin("anonymous", address="203.0.113.7", agent="Mozilla/5.0 (X11; Linux) Firefox/140.0")


async def happen(limen: Limen, *events: Event, where: Origin = HOME) -> None:
    """Let events be recorded, and bound."""
    with coming_from(where):
        async with limen.features.log.change() as change:
            change.happened(*events)
    await limen.features.audit.seal()


async def live(limen: Limen, number: int) -> None:
    """Let so many entries be made, more or less as people make them."""
    await happen(limen, *map(_event, range(number)))


def _event(n: int) -> Event:
    user = (ADA, BOB)[n % 2]
    match n % 4:
        case 0 | 1:
            return SignIn("success", user, f"{n:032x}")
        case 2:
            return SignIn("invalid_credentials", user)
        case _:
            return SessionEnded(f"{n:032x}", "logout", user, 3)


async def stored(limen: Limen) -> list[Entry]:
    """Return the entries as they lie in the database."""
    return [Entry._make(row) for row in await rows(limen, audit)]


async def put(limen: Limen, entries: Sequence[Entry], head: Link | None = None) -> None:
    """Put these in the place of whatever is there, and the head, too, if there is to be another."""
    async with limen.features.database.write() as connection:
        await connection.execute(delete(audit))
        if entries:
            await connection.execute(insert(audit), [entry._asdict() for entry in entries])
        if head is not None:
            await connection.execute(update(audit_head).values(head._asdict()))


def linked(entries: Sequence[Entry], before: Link, mac: str | None = None) -> list[Entry]:
    """Compute all digests anew, as anybody can; `mac` is what stands in the place of those."""
    linked: list[Entry] = []
    for entry in entries:
        entry = entry._replace(seq=before.seq + 1)  # noqa: PLW2901  it is the same one, renumbered
        entry = entry._replace(digest=bound(entry, before), mac=mac or entry.mac)  # noqa: PLW2901
        linked.append(entry)
        before = Link.of(entry)
    return linked


def erased(user_id: str) -> AccountChanged:
    return AccountChanged(user_id, "erased")

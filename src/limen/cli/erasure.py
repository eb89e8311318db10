"""`limen users erase`: forgetting where a person was."""

from typing import TYPE_CHECKING

import click

from limen.cli.audit import user_id_of
from limen.cli.commands import Command
from limen.cli.opening import run
from limen.cli.output import show
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.features import Features


@click.command(
    "erase",
    cls=Command,
    examples=[
        "limen users erase ada@example.com",
        "limen users erase 5f0c9d6a41b24f0c8a7c2e1d3b4a5968",
    ],
)
@click.argument("user", metavar="USER")
def erase(user: str, as_json: bool) -> None:
    """Erase addresses and devices from the record of an account, and letters to it.

    The audit trail keeps what was done, and that it was erased, and still verifies. The account
    itself stays, if there is one. An account that was deleted is named by its user_id; a month
    after its deletion it is erased by itself.
    """

    async def work(features: "Features") -> tuple[str, int]:
        user_id = await user_id_of(features, user)
        return user_id, await features.erasure.erase(user_id)

    user_id, entries = run(Settings.from_environment(), work)
    document = {"user_id": user_id, "entries": entries}
    show(document, [f"Erased from {entries} entries of {user_id}."], as_json=as_json)

"""`limen keys`: the keys that sign access tokens."""

from typing import TYPE_CHECKING, Any

import click

from limen.cli.commands import Group
from limen.cli.opening import run
from limen.cli.output import moment, show, table
from limen.clock import system_clock
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.features import Features
    from limen.key_ring import SigningKey


@click.group("keys", cls=Group)
def keys() -> None:
    """List and rotate the signing keys. No private part is ever shown."""


@keys.command("list", examples=["limen keys list", "limen keys list --json"])
def list_(as_json: bool) -> None:
    """List the signing keys.

    A key is "next" (published, not signing yet), "current" (signs), "retiring" (verifies what it
    has signed) or "retired" (kept until it is swept).
    """

    async def work(features: "Features") -> list[dict[str, Any]]:
        return [_document(key, state) for key, state in features.memory.ring.states()]

    found = run(Settings.from_environment(), work)
    rows = [["KID", "ALGORITHM", "STATE", "CREATED", "SIGNS FROM", "RETIRES"]]
    rows += [["-" if value is None else value for value in key.values()] for key in found]
    show(found, table(rows), as_json=as_json)


@keys.command("rotate", examples=["limen keys rotate", "limen keys rotate --emergency"])
@click.option(
    "--emergency",
    is_flag=True,
    help="A private key may have leaked: sign with the new one and refuse the others at once.",
)
def rotate(emergency: bool, as_json: bool) -> None:
    """Make a new signing key.

    It is published at once and signs when every verifier had time to fetch it. The present keys
    then retire, each once its last token has expired. Nobody is signed out, and no server needs
    a restart.

    With --emergency nothing of that is waited for: access tokens signed until now are refused
    within a second. Clients refresh theirs; nobody is signed out even then. Services that cache
    the key set without following the revocations go on for up to five minutes.
    """

    async def work(features: "Features") -> dict[str, Any]:
        made = await features.following.rotate_keys(emergency=emergency)
        return _document(made, made.state(system_clock(), features.memory.ring.signing.kid))

    made = run(Settings.from_environment(), work)
    lines = [f"Made key {made['kid']} ({made['algorithm']}). It signs from {made['signs_from']}."]
    if emergency:
        lines += ["All other keys have retired: the access tokens they signed are refused."]
    show(made, lines, as_json=as_json)


def _document(key: "SigningKey", state: str) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "algorithm": key.algorithm,
        "state": state,
        "created_at": moment(key.created_at),
        "signs_from": moment(key.signs_from),
        "retires_at": moment(key.retires_at),
    }

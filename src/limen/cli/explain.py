"""`limen explain`: why a session ended."""

from typing import TYPE_CHECKING, Any

import click

from limen.cli.commands import Command, Failed
from limen.cli.opening import run
from limen.cli.output import moment, show
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.explanation import Deed, Explanation


@click.command(
    "explain",
    cls=Command,
    examples=[
        "limen explain 24031fbd9e77549df15a389033137abd",
        "limen explain 24031fbd9e77549df15a389033137abd --json | jq -r .reason",
    ],
)
@click.argument("sid", metavar="SESSION")
def explain(sid: str, as_json: bool) -> None:
    """Say why a session ended, or that it lives.

    SESSION is its sid, as access tokens and log lines have it. What the audit trail knows of it is
    told: where it came from, how often it was refreshed, who ended it, and from where.
    """
    found = run(Settings.from_environment(), lambda features: features.explanations.explain(sid))
    if found is None:
        raise Failed("Nothing is known of this session: the audit trail does not go back so far.")
    show(_document(found), found.sentences(), as_json=as_json)


def _document(found: "Explanation") -> dict[str, Any]:
    return {
        "sid": found.sid,
        "user_id": found.user_id,
        "state": found.state,
        "started": _of(found.started),
        "refreshed": found.refreshed,
        "refreshed_at": moment(found.refreshed_at),
        "lapses_at": moment(found.lapses_at),
        "reason": found.reason,
        "ended": _of(found.ended),
        "presented": found.presented,
        "explanation": " ".join(found.sentences()),
    }


def _of(deed: "Deed | None") -> dict[str, Any] | None:
    if deed is None:
        return None
    return {
        "at": moment(deed.at),
        "actor": deed.actor,
        "address": deed.address,
        "device": deed.device,
    }

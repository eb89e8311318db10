"""`limen doctor`."""

import click

from limen.cli.commands import FAILED, Command
from limen.cli.output import show


@click.command(
    "doctor",
    cls=Command,
    examples=["limen doctor", "limen doctor --json | jq '.[] | select(.verdict != \"ok\")'"],
)
def doctor(as_json: bool) -> None:
    """Examine this limen, one line a check; exit 1 if a check fails.

    Nothing is made or changed. A warning is advice, and fails nothing. Run it as the user, and
    with the environment, that the server has.
    """
    from limen.cli.checks import examine  # noqa: PLC0415  loads the features

    checks = examine()
    lines = [f"{check.verdict:<8} {check.name:<16} {check.says}" for check in checks]
    show([check._asdict() for check in checks], lines, as_json=as_json)
    if any(check.verdict == "failed" for check in checks):
        raise SystemExit(FAILED)

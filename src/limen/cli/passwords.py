"""`limen passwords`: the list of those that nobody may choose."""

from dataclasses import asdict
from typing import BinaryIO

import click

from limen.cli.commands import Group
from limen.cli.opening import run
from limen.cli.output import moment, show, table
from limen.lines import lines_of
from limen.settings import Settings


@click.group("passwords", cls=Group)
def passwords() -> None:
    """Keep a list of passwords that nobody may choose.

    It holds for new passwords: who has one of them already may go on signing in.
    """


@passwords.command(
    "import-blocklist",
    examples=[
        "limen passwords import-blocklist words-of-our-company.txt",
        "limen passwords import-blocklist pwned-passwords-sha1-ordered-by-count.txt",
        "head -1000000 pwned.txt | limen passwords import-blocklist -",
    ],
)
@click.argument("file", type=click.File("rb"))
def import_blocklist(file: BinaryIO, as_json: bool) -> None:
    """Add the passwords of a file to the list, one a line; "-" is standard input.

    A line is a password, or the SHA-1 of one in hexadecimal, with or without ":" and a number, as
    in the files of Have I Been Pwned. Running servers refuse them from then on. Importing a file
    twice, or again after an interruption, does no harm.
    """
    settings = Settings.from_environment()
    done = run(settings, lambda features: features.blocklist.add(lines_of(file)))
    lines = [f"Added {done.added} passwords; {done.known} were on the list already."]
    if done.passed_over:
        lines += [f"Passed over {done.passed_over} lines: too short or too long for a password."]
    show(asdict(done), lines, as_json=as_json)


@passwords.command("blocklist", examples=["limen passwords blocklist --json"])
def blocklist(as_json: bool) -> None:
    """Show how many passwords are on the list, and since when. It cannot show which."""
    size = run(Settings.from_environment(), lambda features: features.blocklist.size())
    shown = {"count": size.count, "since": moment(size.since)}
    lines = table([(name, str(value)) for name, value in shown.items() if value is not None])
    show(shown, lines, as_json=as_json)


@passwords.command("clear-blocklist", examples=["limen passwords clear-blocklist"])
def clear_blocklist(as_json: bool) -> None:
    """Empty the list. What the policy refuses by itself stays refused."""
    gone = run(Settings.from_environment(), lambda features: features.blocklist.clear())
    show({"removed": gone}, [f"Removed {gone} passwords."], as_json=as_json)

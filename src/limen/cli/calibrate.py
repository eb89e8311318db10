"""`limen calibrate`: which cost of a password hash suits this machine."""

from typing import TYPE_CHECKING, Any

import click

from limen.cli.commands import Command
from limen.cli.huge_pages import COMMAND, huge_pages
from limen.cli.output import show
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.calibration import Proposal, Wish


@click.command(
    "calibrate",
    cls=Command,
    examples=[
        "limen calibrate",
        "limen calibrate --milliseconds 250 --rate 5",
        "limen calibrate --json | jq -r .settings.LIMEN_PASSWORD_HASH",
    ],
)
@click.option(
    "--milliseconds",
    type=click.IntRange(5, 5000),
    default=100,
    show_default=True,
    help="How long the hash of a sign-in may take, when all threads are busy.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 10_000),
    default=10,
    show_default=True,
    help="How many sign-ins a second this process must manage.",
)
@click.option(
    "--memory",
    type=click.IntRange(7, 65536),
    default=512,
    show_default=True,
    help="How many MiB hashing may take, when all threads are busy.",
)
def calibrate(milliseconds: int, rate: float, memory: int, as_json: bool) -> None:
    """Measure how costly a password hash can be here, and print the settings for it.

    Run it on the machine that will serve, while nothing else runs there; it takes some seconds.
    Nothing is changed. Hashes that are stored keep their cost until their owner signs in.

    The threads are those of LIMEN_HASH_THREADS, or one for each core.
    """
    from limen.calibration import Wish, measured, propose  # noqa: PLC0415  loads Argon2

    settings = Settings.from_environment()
    wish = Wish(milliseconds / 1000, rate, memory)
    proposal = propose(wish, settings.hash_threads, measured)
    pages = huge_pages()
    show(document(proposal, pages), lines(proposal, wish, pages), as_json=as_json)


def document(proposal: "Proposal", pages: str | None) -> dict[str, Any]:
    """Return the proposal for a program."""
    return {
        "settings": settings_of(proposal),
        "fits": proposal.fits,
        "milliseconds": round(proposal.seconds * 1000, 1),
        "milliseconds_alone": round(proposal.alone * 1000, 1),
        "logins_per_second": round(proposal.rate, 1),
        "memory_mib": round(proposal.memory_mib, 1),
        "attacker": {
            "guesses_per_second_and_core": round(proposal.attack.guesses, 1),
            "bits_for_a_year_of_1000_cores": round(proposal.attack.bits, 1),
        },
        "huge_pages": pages,
    }


def lines(proposal: "Proposal", wish: "Wish", pages: str | None) -> list[str]:
    """Return the proposal for a person."""
    cost, attack = proposal.cost, proposal.attack
    busy, alone = _ms(proposal.seconds), _ms(proposal.alone)
    bits, letters, words = attack.bits, _letters(attack.bits), _words(attack.bits)
    said = [f"{name}={value}" for name, value in settings_of(proposal).items()]
    said += [
        "",
        f"A hash takes {busy} when all {proposal.threads} threads are busy, and {alone} alone:",
        f"{proposal.rate:.1f} sign-ins a second, in {proposal.memory_mib:.0f} MiB.",
        "",
        f"Whoever has stolen the hashes makes {attack.guesses:.0f} guesses a second on each core",
        f"like these, with {cost.memory_kib / 1024:.0f} MiB for each guess under way. A thousand",
        f"cores need a year, on average, for a password of {bits:.0f} bits: {letters} letters or",
        f"{words} words of a list of 7,776, drawn at random.",
    ]
    if not proposal.fits:
        wanted = f"{_ms(wish.seconds)} and {wish.rate:g} sign-ins a second"
        said += ["", f"This is the least that is allowed, and {wanted} need more cores."]
    return said + _advice(pages)


def settings_of(proposal: "Proposal") -> dict[str, str]:
    return {
        "LIMEN_PASSWORD_HASH": str(proposal.cost),
        "LIMEN_HASH_THREADS": str(proposal.threads),
    }


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def _advice(pages: str | None) -> list[str]:
    if pages in {None, "always"}:
        return []
    return [
        "",
        f"Huge pages are set to '{pages}' on this host. If it is limen's own, set them to 'always'",
        "as root, and calibrate again: the same hash may then take less time.",
        f"  {COMMAND}",
    ]


def _letters(bits: float) -> int:
    return -int(-bits // 4.7)  # log2(26)


def _words(bits: float) -> int:
    return -int(-bits // 12.9)  # log2(7776)

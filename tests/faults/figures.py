"""The figures of a fault, as `make soak` puts them into the table of docs/reliability.md.

A test of a fault records them before it asserts anything, so that a failure shows its figures too:

    found = await verdict(crowd)
    record(record_property, "worker killed", times, crowd, found)      # pytest's own fixture
    assert found == KEPT
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from tests.faults.load import Crowd, Verdict


@dataclass(frozen=True, slots=True)
class Figures:
    """What happened `times` times, how much was under way, and what did not hold.

    `broken` are the requests that were never answered; `verified` the acknowledged logouts,
    password changes and disablings that were asked about afterwards.
    """

    fault: str
    times: int
    requests: int
    broken: int
    verified: int
    lost: int
    forked: int
    signed_out: int


def record(
    property_: Callable[[str, object], None], fault: str, times: int, crowd: Crowd, found: Verdict
) -> None:
    """Hand the figures to pytest, for whoever reads its reports."""
    figures = Figures(
        fault=fault,
        times=times,
        requests=len(crowd.ledger.exchanges),
        broken=len(crowd.ledger.answers(0)),
        verified=len(crowd.ledger.endings),
        lost=len(found.lost),
        forked=len(found.forks) + found.strays,
        signed_out=len(found.signed_out),
    )
    for name, value in asdict(figures).items():
        property_(name, value)

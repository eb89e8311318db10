"""The arithmetic of the benchmarks: ratios, targets, what is dropped, and what is written down."""

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx2
import pytest

from benchmarks import parity
from benchmarks.bench import Result
from benchmarks.client import percentile
from benchmarks.environment import Environment, Peers
from benchmarks.figures import Figure, Finding, Pace, Repeated, Target, interleaved, ratio, repeated
from benchmarks.noise import Noise
from benchmarks.plots import svg
from benchmarks.population import PASSWORD
from benchmarks.report import lines, targets, write_page
from benchmarks.results import Measured, Run
from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.logins import EMAILS

ROOT = Path(__file__).parents[1]
PACE = Pace(cycles=4, seconds=0.0, quick=True)


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> Noise:
    """A machine that nothing disturbs, whatever else runs."""
    monkeypatch.setattr("benchmarks.noise.OTHERS", 1e9)
    monkeypatch.setattr("benchmarks.noise.SLOWER", 1e9)
    monkeypatch.setattr("benchmarks.noise.SETTLE_SECONDS", 0)
    monkeypatch.setattr("benchmarks.noise.SPIN_BYTES", 1024)
    return Noise()


def run_with(*findings: Finding) -> Run:
    result = Result(list(findings), {"limen": Figure(2, 1, 3), "<bound>": Figure(4, 4, 4)}, "ms")
    measured = Measured("logins", "Logins a second", 1.0, result)
    return Run(
        "2026-11-29T12:00:00+00:00", "make bench", 60.0, {"machine": "of two cores"}, [measured]
    )


def test_arms_are_run_forth_and_back(quiet: Noise) -> None:
    order = list[str]()

    def arm(name: str) -> Callable[[float], float]:
        def run(_seconds: float) -> float:
            order.append(name)
            return 1.0

        return run

    rates = interleaved(PACE, quiet, {name: arm(name) for name in "AB"})

    assert "".join(order) == "AB" + "ABBAABBA"  # the first two are to warm up
    assert {"".join(cycle) for cycle in rates.kept} == {"AB"}  # and are shown in their own order


def test_a_ratio_is_taken_within_each_cycle() -> None:
    """The machine became twice as slow; both arms did, and the ratio is what it was."""
    rates = Repeated([{"a": 90.0, "b": 100.0}, {"a": 45.0, "b": 50.0}])

    assert ratio(rates, "a", "b") == Figure(0.9, 0.9, 0.9)


def test_a_disturbed_cycle_is_dropped_replaced_and_said(
    quiet: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cycle(number: int) -> int:
        monkeypatch.setattr("benchmarks.noise.SLOWER", 0.0 if number == 1 else 1e9)
        return number

    found = repeated(PACE, quiet, cycle)

    assert found.kept == [0, 2, 3, 4]
    assert len(found.dropped) == 1
    assert not found.disturbed


def test_what_was_never_quiet_is_kept_and_marked(
    quiet: Noise, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmarks.noise.SLOWER", 0.0)
    found = repeated(PACE, quiet, lambda number: number)

    assert found.disturbed
    assert len(found.kept) == len(found.dropped) == 6


@pytest.mark.parametrize(
    ("target", "measured", "met"),
    [
        (Target(least=0.93), 0.93, True),
        (Target(least=0.93), 0.92, False),
        (Target(most=3), 3.0, True),
        (Target(most=3), 3.1, False),
    ],
)
def test_a_target_is_met_or_not(target: Target, measured: float, met: bool) -> None:  # noqa: FBT001
    assert Finding("x", Figure(measured, 0, 9), "×", target).met is met


def test_a_percentile_is_a_value_that_occurred() -> None:
    values = [float(n) for n in range(1, 101)]

    assert [percentile(values, share) for share in (0.5, 0.99, 1)] == [50, 99, 100]


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = run_with(
        Finding("logins", Figure(0.9, 0.8, 1), "×", Target(least=0.93), "the loop"),
        Finding("logins", Figure(1, 1, 1), "×", None, "a peer", at_best=Figure(2, 1, 3)),
    )
    run.write(tmp_path / "result.json")

    assert Run.read(tmp_path / "result.json") == run


def test_the_report_says_what_is_short(tmp_path: Path) -> None:
    run = run_with(Finding("logins", Figure(0.9, 0.8, 1), "×", Target(least=0.93), "the loop"))
    page = tmp_path / "page.md"
    page.write_text("<!-- targets: written by a command -->\nold\n<!-- end -->\n")
    write_page(run, page=page)

    assert "| logins | the loop | ≥ 0.93 | 0.9 × | 0.8 to 1 | **short** | – |" in page.read_text()
    assert "old" not in page.read_text()
    assert any("SHORT" in line for line in lines(run))


def test_the_report_shows_what_the_least_program_comes_to() -> None:
    best = Figure(0.8, 0.7, 0.9)
    target = Target(least=0.93)
    run = run_with(
        Finding("logins", Figure(0.7, 0.7, 0.7), "×", target, "the loop", at_best=best),
        Finding("logins", Figure(4, 4, 4), "×", Target(least=3), "a peer"),
    )

    rows = [line for line in targets(run) if line.startswith("| logins")]
    assert rows[0].endswith("| **short** | 0.8 × |")
    assert rows[1].endswith("| met | – |")
    assert any(line.endswith("SHORT  at best 0.8 ×") for line in lines(run))


@pytest.mark.anyio
async def test_the_least_still_checks_the_password_and_rotates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what limen is held against, so it must do the work that cannot be left out."""
    monkeypatch.setenv("BENCH_DATABASE", str(tmp_path / "least.db"))
    monkeypatch.setenv("BENCH_ALGORITHM", "ES256")
    monkeypatch.delitem(sys.modules, "benchmarks.apps.least", raising=False)
    least = importlib.import_module("benchmarks.apps.least")
    transport = httpx2.ASGITransport(least.app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://least.test") as client:

        async def ask(path: str, **body: str) -> httpx2.Response:
            return await client.post(f"/api/v1/auth/{path}", json=body)

        signed_in = await ask("login", email=EMAILS[7], password=PASSWORD)
        assert (await ask("login", email=EMAILS[7], password="another")).status_code == 401
        assert (await ask("login", email="nobody@example.com", password=PASSWORD)).is_error

        first = signed_in.json()["refresh_token"]
        second = (await ask("refresh", refresh_token=first)).json()["refresh_token"]
        assert (await ask("refresh", refresh_token=first)).status_code == 401
        assert (await ask("refresh", refresh_token=second)).status_code == 200


def test_what_is_short_by_a_hair_is_not_shown_as_its_target() -> None:
    four = Target(least=4)
    found = [
        Finding("refresh", Figure(value, value, value), "×", four) for value in (3.996, 3.5, 4.001)
    ]

    said = [line for line in lines(run_with(*found)) if "* refresh" in line]
    assert ["3.996 ×" in said[0], "3.5 ×" in said[1], "4 ×" in said[2]] == [True] * 3


def test_the_parity_sheet_says_how_memory_is_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It decides how long a hash takes, and no version shows it."""
    monkeypatch.setattr("benchmarks.parity._TIMES", 1)
    monkeypatch.setattr("limen.cli.huge_pages.SETTING", tmp_path / "enabled")
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    nobody = Environment(missing="not in this test")

    assert parity.sheet(tmp_path, Peers(nobody, nobody))["huge pages"] == "madvise"


def test_a_plot_is_well_formed() -> None:
    (measured,) = run_with().workloads
    bars = ET.fromstring(svg(measured)).findall("{*}rect")  # noqa: S314  we wrote it

    assert len(bars) == 2


def test_the_page_has_every_table() -> None:
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    marks = re.findall(r"<!-- (\w+): written by python -m benchmarks --report -->", page)

    assert sorted(marks) == ["arms", "command", "parity", "short", "targets"]
    assert page.count("<!-- end -->") == len(marks)


def test_each_workload_is_a_file_of_its_name() -> None:
    files = {file.stem for file in (ROOT / "benchmarks" / "workloads").glob("[!_]*.py")}

    assert {workload.name for workload in WORKLOADS} == files

"""A result in words: the table of targets, what each arm came to, the parity sheet.

Written for a terminal, and into docs/performance.md between the marks that stand there, so that the
page says what one run has measured, and nothing else.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure, Finding, Target
from benchmarks.results import Measured, Run
from benchmarks.workloads import WORKLOADS

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_MARK = "<!-- {name}: written by python -m benchmarks --report -->"
_BLOCK = re.compile(r"(<!-- (\w+): written by [^>]* -->\n).*?(<!-- end -->)", re.DOTALL)


def lines(run: Run) -> Iterator[str]:
    """Yield the whole result for a terminal."""
    yield from parity(run)
    yield ""
    for each in run.workloads:
        yield from of_workload(each)


def write_page(run: Run, page: Path = PAGE) -> None:
    """Put the run's tables into the page, between its marks."""
    blocks = {
        "command": command(run),
        "targets": targets(run),
        "arms": arms(run),
        "parity": parity_table(run),
        "short": short(run),
    }

    def fill(found: re.Match[str]) -> str:
        return f"{found[1]}\n" + "\n".join(blocks[found[2]]) + f"\n\n{found[3]}"

    page.write_text(_BLOCK.sub(fill, page.read_text("utf-8")), "utf-8")


def parity(run: Run) -> list[str]:
    return [f"{name + ':':<17}{value}" for name, value in run.parity.items()]


def parity_table(run: Run) -> list[str]:
    return [
        "| | |",
        "| --- | --- |",
        *(f"| {name} | {value} |" for name, value in run.parity.items()),
    ]


def command(run: Run) -> list[str]:
    dropped = sum(len(each.result.dropped) for each in run.workloads)
    disturbed = [each.title for each in run.workloads if each.result.disturbed]
    missing = [each.title for each in WORKLOADS if each.title not in _measured(run)]
    when = f"on {run.made_at[:10]}, in {run.seconds / 60:.0f} minutes"
    said = [f"Measured by `{run.command}` {when}. Disturbed cycles, dropped: {dropped}."]
    if disturbed:
        said += ["", f"Never quiet enough, and so kept as they are: {', '.join(disturbed)}."]
    if missing:
        said += ["", f"Not measured in this run: {', '.join(missing)}."]
    said += ["", f"The machine: {run.parity['machine']}."]
    return said


def _measured(run: Run) -> set[str]:
    return {each.title for each in run.workloads if not each.failed}


def targets(run: Run) -> list[str]:
    """Return the table of what has a target."""
    head = ["what", "against", "target", "measured", "spread", "", "at best"]
    rows = [
        [
            finding.what,
            finding.against or "–",
            _target(finding.target),
            _value(finding),
            _spread(finding.figure),
            _verdict(finding),
            _at_best(finding),
        ]
        for finding in _findings(run)
        if finding.target is not None
    ]
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _verdict(finding: Finding) -> str:
    return "met" if finding.met else "**short**"


def _at_best(finding: Finding) -> str:
    return f"{_number(finding.at_best.median)} {finding.unit}" if finding.at_best else "–"


def short(run: Run) -> list[str]:
    """Return the names of what was not met."""
    names = [finding.what for finding in _findings(run) if finding.met is False]
    return [
        f"Short of its target: {'; '.join(names)}."
        if names
        else "Every target that was measured was met."
    ]


def arms(run: Run) -> list[str]:
    """Return a table for each workload with what each arm came to."""
    said = list[str]()
    for each in run.workloads:
        if each.result.arms:
            said += [
                "",
                f"### {each.title}",
                "",
                f"![{each.title}](performance/{each.name}.svg)",
                "",
            ]
            said += [f"| | {each.result.unit} | spread |", "| --- | --- | --- |"]
            said += [
                f"| {name} | {_number(figure.median)} | {_spread(figure)} |"
                for name, figure in each.result.arms.items()
            ]
        if each.result.arms and each.result.notes:
            said += ["", *[f"{note[0].upper()}{note[1:]}." for note in each.result.notes]]
        if each.failed:
            said += ["", f"Not measured: {each.failed}"]
    return said[1:]


def of_workload(each: Measured) -> Iterator[str]:
    """Yield one workload for a terminal."""
    yield f"{each.title} ({each.seconds:.0f} s)"
    if each.failed:
        yield f"    NOT MEASURED: {each.failed}"
    for name, figure in each.result.arms.items():
        yield f"    {name:<36}{_number(figure.median):>10} {each.result.unit}  ({_spread(figure)})"
    for finding in each.result.findings:
        verdict = {None: "", True: "met", False: "SHORT"}[finding.met]
        target = "" if finding.target is None else f"target {_target(finding.target)}"
        value = _value(finding)
        best = f"at best {_at_best(finding)}" if finding.at_best else ""
        yield f"  * {finding.what}: {value} {finding.against}  {target}  {verdict}  {best}".rstrip()
    for note in each.result.notes:
        yield f"    {note}"
    if each.result.dropped:
        yield f"    dropped: {'; '.join(each.result.dropped)}"
    if each.result.disturbed:
        yield "    DISTURBED: too few quiet cycles; all were kept"


def _findings(run: Run) -> Iterator[Finding]:
    for each in run.workloads:
        yield from each.result.findings


def _target(target: Target) -> str:
    if target.least is not None:
        return f"≥ {_number(target.least)}"
    return f"≤ {_number(target.most or 0)}"


def _value(finding: Finding) -> str:
    """Return the median; one that is short of its target by a hair is not rounded to it."""
    text = _number(finding.figure.median)
    if finding.target and finding.met is False and _target(finding.target).endswith(f" {text}"):
        text = f"{finding.figure.median:.3f}"
    return f"{text} {finding.unit}".strip()


def _spread(figure: Figure) -> str:
    if figure.low == figure.high:
        return "–"
    return f"{_number(figure.low)} to {_number(figure.high)}"


def _number(value: float) -> str:
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2  # noqa: PLR2004
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text

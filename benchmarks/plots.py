"""One SVG a workload: a bar for each arm, its spread as a line over its end.

Written by hand: some rectangles and texts are no reason for a plotting library. Colours and fonts
are those of the reader, light or dark, so that the page may be either.
"""

from collections.abc import Iterator
from html import escape
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.results import Measured, Run

WIDTH, LABELS, VALUES = 720, 250, 90
ROW, BAR, TOP = 26, 16, 34

_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 } .bar { fill: #9db4c0 } .limen { fill: #2a6f97 }
.spread { stroke: #24292f; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) { text { fill: #c9d1d9 } .spread { stroke: #c9d1d9 } }
"""


def draw(run: Run, folder: Path) -> None:
    """Write a plot of each workload that has arms."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in run.workloads:
        if each.result.arms:
            (folder / f"{each.name}.svg").write_text(svg(each), "utf-8")


def svg(measured: Measured) -> str:
    """Return the plot of a workload."""
    arms = measured.result.arms
    height = TOP + ROW * len(arms) + 8
    scale = (WIDTH - LABELS - VALUES) / (max(figure.high for figure in arms.values()) or 1)
    title = escape(f"{measured.title}, {measured.result.unit}")
    rows = [
        line
        for place, (name, figure) in enumerate(arms.items())
        for line in _row(name, figure, TOP + ROW * place, scale)
    ]
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    heading = f'<text class="title" x="8" y="20">{title}</text>'
    return "\n".join(
        [head, f"<title>{title}</title><style>{_STYLE}</style>", heading, *rows, "</svg>", ""]
    )


def _row(name: str, figure: Figure, top: float, scale: float) -> Iterator[str]:
    middle, end = top + BAR / 2, LABELS + figure.median * scale
    kind = "bar limen" if "limen" in name or name.startswith("guarded") else "bar"
    yield f'<text x="{LABELS - 8}" y="{middle + 5:.1f}" text-anchor="end">{escape(name)}</text>'
    width = max(1.0, figure.median * scale)
    yield f'<rect class="{kind}" x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR}"/>'
    low, high = LABELS + figure.low * scale, LABELS + figure.high * scale
    if high - low > 1:
        yield (
            f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" '
            f'y1="{middle:.1f}" y2="{middle:.1f}"/>'
        )
    shown = f"{figure.median:,.3g}" if figure.median < 1000 else f"{figure.median:,.0f}"  # noqa: PLR2004
    yield f'<text x="{max(end, high) + 8:.1f}" y="{middle + 5:.1f}">{shown}</text>'

"""What the documentation says is so: where the code can be asked, it is asked."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from limen import errors
from limen.api import problems
from limen.mail import MESSAGES
from limen.policies import LIMIT_NAMES
from limen.telemetry.metrics import Metrics
from limen.telemetry.requests import internal_error
from limen.verify.errors import InsufficientRole, InsufficientScope, InvalidToken, LimenError

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
DECISIONS = DOCS / "decisions"
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

# Of our own making; not of what was installed or generated beside it.
PAGES = sorted(
    page
    for top in ("*.md", "docs/**/*.md", "src/**/*.md", "tests/**/*.md", "examples/**/*.md")
    for page in ROOT.glob(top)
)

# What the errors that need arguments are made with; no status depends on it.
ARGUMENTS: dict[type[LimenError], tuple[Any, ...]] = {
    InvalidToken: ("expired",),
    InsufficientScope: (("admin",),),
    InsufficientRole: (("editor",),),
    errors.PasswordRefused: ("common", "Choose another."),
}
NAMED: dict[type[LimenError], dict[str, Any]] = {
    errors.TooManyAttempts: {"policy": "login", "quota": 5, "window": 900, "retry_after": 1},
    errors.Busy: {"retry_after": 1},
}

_CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(<?([^)>\s]+)>?\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:")


def relative_links(page: Path) -> Iterator[str]:
    """Yield the targets of the links that do not leave the repository."""
    for link in _LINK.findall(_CODE.sub("", page.read_text("utf-8"))):
        if not _ABSOLUTE.match(link):
            yield link


def anchors(page: Path) -> set[str]:
    """Return the names under which the page's headings can be linked to."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _HEADING.findall(text)
    }


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading, without its head."""
    _, _, rest = page.read_text("utf-8").partition(f"\n{heading}\n")
    table = re.search(r"^\|.*?(?=\n\n|\Z)", rest, re.DOTALL | re.MULTILINE)
    assert table is not None, f"{page.name} has no table below {heading!r}"
    lines = table[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = [link for link in relative_links(page) if not leads_somewhere(page, link)]

    assert broken == []


def test_the_links_are_found_at_all() -> None:
    assert len(PAGES) > 20
    assert "decisions/README.md" in set(relative_links(DOCS / "architecture.md"))
    assert not leads_somewhere(DOCS / "errors.md", "nowhere.md")
    assert not leads_somewhere(DOCS / "errors.md", "#no-such-heading")


def test_the_decisions_are_numbered_and_listed_with_their_titles() -> None:
    pages = sorted(DECISIONS.glob("[0-9]*.md"))
    listed = re.findall(
        r"^(\d+)\. \[(.+)\]\((.+)\)$", (DECISIONS / "README.md").read_text("utf-8"), re.MULTILINE
    )
    titles = [page.read_text("utf-8").splitlines()[0] for page in pages]

    assert [page.name[:5] for page in pages] == [f"{n:04d}-" for n in range(1, len(pages) + 1)]
    assert [name for _, _, name in listed] == [page.name for page in pages]
    assert [f"# {number}. {title}" for number, title, _ in listed] == titles


@pytest.mark.parametrize("page", sorted(DECISIONS.glob("[0-9]*.md")), ids=lambda page: page.stem)
def test_a_decision_has_a_context_and_consequences(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)

    assert headings == ["Context", "Decision", "Consequences"]


@pytest.mark.parametrize(
    ("heading", "requirements"),
    [
        (
            "### Base: what a service that only checks tokens installs",
            PROJECT["project"]["dependencies"],
        ),
        ("### Server: `limen[server]`", PROJECT["project"]["optional-dependencies"]["server"]),
        (
            "### PostgreSQL: `limen[postgres]`",
            PROJECT["project"]["optional-dependencies"]["postgres"],
        ),
        ("### Client: `limen[client]`", PROJECT["project"]["optional-dependencies"]["client"]),
        ("### Development: never installed with limen", PROJECT["dependency-groups"]["dev"]),
    ],
    ids=["base", "server", "postgres", "client", "dev"],
)
def test_every_dependency_has_its_reason(heading: str, requirements: list[str]) -> None:
    table = rows(DECISIONS / "0016-dependencies.md", heading)
    required = [re.split(r"[\[<>=~! ;]", requirement)[0] for requirement in requirements]

    assert [cells[0] for cells in table] == [f"`{name}`" for name in required]
    assert all(len(cells) == 5 and all(cells) for cells in table)


def test_the_dependencies_are_shown_with_the_versions_of_the_lock() -> None:
    page = (DECISIONS / "0016-dependencies.md").read_text("utf-8")
    shown = dict(re.findall(r"^\| `([a-z0-9-]+)` \| ([0-9.]+), ", page, re.MULTILINE))
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = dict(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==([^ ;]+)", lock, re.MULTILINE))

    assert shown
    assert shown == {name: locked[name] for name in shown}


def test_the_levels_are_those_that_import_linter_checks() -> None:
    (layers,) = (
        contract["layers"]
        for contract in PROJECT["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    shown = [
        re.findall(r"`(\w+)`", cells[0]) for cells in rows(DOCS / "architecture.md", "## Levels")
    ]

    assert shown == [layer.split(" | ") for layer in layers]


def raisable(kind: type[LimenError] = LimenError) -> Iterator[type[LimenError]]:
    """Yield the errors of limen.errors and limen.verify.errors that have a code of their own."""
    for below in kind.__subclasses__():
        if below.__module__ in ("limen.errors", "limen.verify.errors"):
            if "code" in vars(below):
                yield below
            yield from raisable(below)


def status_of(kind: type[LimenError]) -> str:
    if kind in (errors.ConfigurationError, errors.SchemaOutdated):
        return "none"
    return str(problems.problem_for(kind(*ARGUMENTS.get(kind, ()), **NAMED.get(kind, {}))).status)


def codes() -> dict[str, set[str]]:
    """Return every code, with the statuses that it is answered with."""
    found: dict[str, set[str]] = {}
    for kind in raisable():
        found.setdefault(kind.code, set()).add(status_of(kind))
    by_router = [problems.problem_for_status(status) for status in (400, 404, 405)]
    for problem in [*by_router, problems.not_ready({}), internal_error("0" * 32)]:
        found.setdefault(problem.code, set()).add(str(problem.status))
    return found


def test_the_errors_are_exactly_those_that_can_be_raised() -> None:
    shown: dict[str, set[str]] = {}
    code = ""
    for cells in rows(DOCS / "errors.md", "## Codes"):
        code = cells[0].strip("`") or code  # an empty cell continues the code above
        shown.setdefault(code, set()).add(cells[1])

    assert shown == codes()
    assert all(all(cells[1:]) for cells in rows(DOCS / "errors.md", "## Codes"))


def test_every_limit_is_named_where_errors_are_explained() -> None:
    page = (DOCS / "errors.md").read_text("utf-8")

    assert [name for name in LIMIT_NAMES if f"`{name}`" not in page] == []


def test_every_message_is_listed_where_mail_is_explained() -> None:
    assert {cells[0] for cells in rows(DOCS / "mail.md", "## What is sent")} == {
        f"`{message}`" for message in MESSAGES
    }


def test_the_metrics_are_exactly_those_that_are_served() -> None:
    exposed = Metrics(limits=LIMIT_NAMES).render()[0].decode()
    served = {
        name
        for name in re.findall(r"^# TYPE (\S+)", exposed, re.MULTILINE)
        if not name.endswith("_created")
    }

    assert {cells[0].strip("`") for cells in rows(DOCS / "operations.md", "## Metrics")} == served

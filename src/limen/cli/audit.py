"""`limen audit`: the audit trail."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from limen.cli.arguments import Anchor, Moment
from limen.cli.commands import FAILED, Group
from limen.cli.opening import run
from limen.cli.output import moment, show, table
from limen.errors import AccountNotFound
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.audit_chain import Entry, Link
    from limen.audit_verification import Report
    from limen.features import Features

PAGE = 1000  # entries that are read at a time

_since = click.option("--since", type=Moment(), help="From this time or date on (UTC).")
_until = click.option("--until", type=Moment(), help="Before this time or date (UTC).")
_after = click.option(
    "--after", "after_seq", type=click.IntRange(0), metavar="SEQ", help="Go on behind this entry."
)
_personal = click.option(
    "--personal", is_flag=True, help="With the addresses and devices that it was done from."
)


@click.group("audit", cls=Group)
def audit() -> None:
    """Read and verify the audit trail: what happened, who did it, from where.

    What is still to be bound into the chain is bound before anything is shown.
    """


@audit.command(
    "list",
    examples=[
        "limen audit list --user ada@example.com --personal",
        "limen audit list --kind sign_in --outcome invalid_credentials --since 2026-11-29",
        "limen audit list --actor operator --limit 1000 --json",
    ],
)
@click.option("--user", metavar="USER", help="About this account: a user_id, or an address.")
@click.option("--session", "sid", metavar="SESSION", help="About this session: its sid.")
@click.option("--actor", help="Done by: operator, program, limen, anonymous, account:USER_ID.")
@click.option("--kind", help="Of this kind, such as sign_in; docs/audit.md lists them.")
@click.option("--outcome", help="With this outcome, such as replay.")
@_since
@_until
@_after
@click.option("--oldest-first", is_flag=True, help="Begin with the oldest, not with the newest.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True)
@_personal
def list_(user: str | None, oldest_first: bool, as_json: bool, **which: Any) -> None:
    """List entries, the newest first, a page at a time.

    As JSON, a page is an array; one that is shorter than the limit is the last.
    """

    async def work(features: "Features") -> "list[Entry]":
        from limen.audit_query import AuditQuery  # noqa: PLC0415  help needs no database

        await features.audit.seal()
        user_id = user and await user_id_of(features, user)
        query = AuditQuery(user_id=user_id, newest_first=not oldest_first, **which)
        return await features.audit.entries(query)

    page = run(Settings.from_environment(), work)
    personal = which["personal"]
    rows = [_row(entry, personal=personal) for entry in page]
    lines = table([_headings(personal=personal), *rows]) if page else ["There are no entries."]
    show([entry.document(personal=personal) for entry in page], lines, as_json=as_json)
    if len(page) == which["limit"] and not as_json:
        click.echo(f"There may be more: --after {page[-1].seq}", err=True)


@audit.command(
    "export",
    examples=[
        "limen audit export > audit.jsonl",
        "limen audit export --after 4711 --personal | send-to-siem",
        "limen audit export --since 2026-11-01 --until 2026-12-01 | gzip > november.jsonl.gz",
    ],
)
@_since
@_until
@_after
@_personal
def export(
    since: int | None, until: int | None, after_seq: int | None, personal: bool, as_json: bool
) -> None:
    """Write entries to standard output as lines of JSON, the oldest first.

    A line has all that binds it into the chain, so whoever has noted an anchor can verify an
    export without limen and without its secret (docs/audit.md).
    """

    async def work(features: "Features") -> None:
        from limen.audit_query import AuditQuery  # noqa: PLC0415  help needs no database

        await features.audit.seal()
        query = AuditQuery(
            since=since, until=until, after_seq=after_seq, personal=personal, limit=PAGE
        )
        between = "[" if as_json else ""
        while page := await features.audit.entries(query):
            for entry in page:
                line = json.dumps(entry.document(personal=personal))
                show(None, [between + line], as_json=False)
                between = "," if as_json else ""
            query = replace(query, after_seq=page[-1].seq)
        if as_json:
            show(None, ["[]" if between == "[" else "]"], as_json=False)

    run(Settings.from_environment(), work)


@audit.command(
    "verify",
    examples=[
        "limen audit verify",
        "limen audit verify --head 4711-3u8BxSI_vEbR4NLsSCD0QTMLk4m4iJIQZbpzdVhUJts",
    ],
)
@click.option(
    "--head", "noted", type=Anchor(), multiple=True, help="An anchor that you have noted; several."
)
def verify(noted: "tuple[Link, ...]", as_json: bool) -> None:
    """Walk the whole chain, and say the first place at which it is not as limen wrote it.

    Exits with 1 if there is one. Without an anchor that was noted elsewhere nobody can tell whether
    the end was cut off by somebody who may write to the database.
    """

    async def work(features: "Features") -> "Report":
        await features.audit.seal()
        return await features.audit.verify(*noted)

    report = run(Settings.from_environment(), work)
    show(_document(report), _lines(report, len(noted)), as_json=as_json)
    if report.broken is not None:
        raise SystemExit(FAILED)


@audit.command("head", examples=["limen audit head", "limen audit head >> /mnt/worm/anchors"])
def head(as_json: bool) -> None:
    """Show where the trail ends: an anchor to note elsewhere, for 'limen audit verify --head'."""

    async def work(features: "Features") -> "Link":
        await features.audit.seal()
        return await features.audit.head()

    found = run(Settings.from_environment(), work)
    document = {"anchor": str(found), "seq": found.seq, "digest": found.digest}
    show(document, [str(found)], as_json=as_json)


async def user_id_of(features: "Features", user: str) -> str:
    """Return the user_id, which need not be that of an account that is still there."""
    if "@" not in user:
        return user
    account = await features.accounts.find(user)
    if account is None:
        raise AccountNotFound
    return account.user_id


def _headings(*, personal: bool) -> list[str]:
    known = ["SEQ", "TIME", "KIND", "OUTCOME", "ACTOR", "USER_ID", "SESSION"]
    return [*known, *(("ADDRESS", "DEVICE") if personal else ()), "DETAIL"]


def _row(entry: "Entry", *, personal: bool) -> list[str]:
    told = json.loads(entry.personal or '{"address": "erased"}')
    detail = " ".join(f"{name}={value}" for name, value in json.loads(entry.detail).items())
    known = [str(entry.seq), moment(entry.at) or "", entry.kind, entry.outcome, entry.actor]
    about = [entry.user_id or "-", entry.sid or "-"]
    where = [told.get("address", "-"), told.get("device", "-")] if personal else []
    return [*known, *about, *where, detail]


def _document(report: "Report") -> dict[str, Any]:
    from limen.audit_tampering import WORDS  # noqa: PLC0415  help needs no database

    broken = report.broken
    return {
        "verified": broken is None,
        "first": report.first,
        "entries": report.entries,
        "erased": report.erased,
        "unattested": report.unattested,
        "anchor": str(report.head),
        "older_anchors": [str(link) for link in report.older],
        "broken": broken and {"seq": broken.seq, "kind": broken.kind, "detail": WORDS[broken.kind]},
    }


def _lines(report: "Report", noted: int) -> Iterator[str]:
    from limen.audit_tampering import WORDS  # noqa: PLC0415  help needs no database

    if report.broken is not None:
        yield f"Entry {report.broken.seq} ({report.broken.kind}): {WORDS[report.broken.kind]}."
        yield f"What lies before it, {report.entries} entries, is as limen wrote it."
        return
    yield f"All {report.entries} entries, from {report.first} on, are as limen wrote them."
    if report.erased:
        yield f"The personal part of {report.erased} was erased, and an event says so."
    if report.unattested:
        gone = f"{report.unattested} were made under a secret that has gone"
        yield f"{gone}; what follows vouches for them."
    for link in report.older:
        yield f"The anchor {link} lies before the beginning: it cannot be compared."
    if not noted:
        yield f"Only an anchor noted elsewhere tells if the end was cut off. One: {report.head}"

"""`limen users import` and `limen users export`: accounts in and out."""

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from limen.cli.commands import FAILED, Command
from limen.cli.opening import run
from limen.cli.output import show
from limen.clock import system_clock
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.features import Features
    from limen.transfer.importing import Report
    from limen.transfer.records import Row

_SOURCES = ("fastapi-users", "django", "csv", "jsonl")
_DATABASES = ("fastapi-users", "django")


@click.command(
    "import",
    cls=Command,
    examples=[
        "limen users import --from fastapi-users app.db --dry-run",
        "limen users import --from django db.sqlite3 --superuser-scope admin",
        "limen users import --from django users.json --table accounts.user",
        "limen users import --from csv accounts.csv --json | jq .refused",
        "limen users export --with-hashes | ssh other limen users import --from jsonl -",
    ],
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option(
    "--from", "source", type=click.Choice(_SOURCES), required=True, help="Whose file it is."
)
@click.option("--dry-run", is_flag=True, help="Store nothing; report what would happen.")
@click.option(
    "--table",
    help="The table of accounts, if it is not 'user' (fastapi-users) or 'auth_user' (Django); "
    "of a dump of Django's, the model, if it is not auth.user.",
)
@click.option("--superuser-scope", default="", help="The scope that superusers get; else none.")
@click.option(
    "--drop-bad-hashes",
    is_flag=True,
    help="Import an account whose hash cannot be checked here without a password, rather than "
    "refuse it.",
)
def import_(source: str, file: str, dry_run: bool, as_json: bool, **options: Any) -> None:
    """Import accounts with their password hashes from another system's FILE.

    FILE is a SQLite database of fastapi-users, one of Django or what its dumpdata wrote, CSV with
    a first line that names its columns, or lines of JSON as 'limen users export' writes them.
    For CSV and JSON, "-" is standard input.

    Rows that cannot be imported are named by row and reason, and keep no others out; exit 1 if
    there are any. An address that has an account already is left as it is, so that an import may
    be run again. Hashes are replaced by Argon2id when their owners first sign in.
    """
    settings = Settings.from_environment()
    if options["table"] and source not in _DATABASES:
        raise click.UsageError("--table is for files of fastapi-users and Django.")
    with ExitStack() as stack:
        rows = _rows(source, file, options.pop("table"), stack)

        async def work(features: "Features") -> "Report":
            from limen.transfer.importing import AccountImport  # noqa: PLC0415  when it is loaded

            imports = AccountImport(
                features.database, features.log, features.emails, clock=system_clock, **options
            )
            return await imports.run(rows, dry_run=dry_run)

        report = run(settings, work, may_create=not dry_run)
    show(_document(report, dry_run=dry_run), _lines(report, dry_run=dry_run), as_json=as_json)
    if report.refused:
        raise SystemExit(FAILED)


@click.command(
    "export",
    cls=Command,
    examples=[
        "limen users export > accounts.jsonl",
        "limen users export --with-hashes | age -r age1... > accounts.jsonl.age",
        "limen users export --json | jq length",
    ],
)
@click.option(
    "--with-hashes",
    is_flag=True,
    help="With the password hashes: whoever reads them can try to guess the passwords.",
)
def export(with_hashes: bool, as_json: bool) -> None:
    """Write all accounts to standard output, as lines of JSON that can be imported again.

    Sessions and keys are not part of it: people sign in again where they are imported.
    """

    async def work(features: "Features") -> None:
        from limen.transfer.exporting import exported  # noqa: PLC0415  when it is loaded

        begin, between = ("[", ",") if as_json else ("", "")
        async for page in exported(features.accounts, with_hashes=with_hashes):
            for document in page:
                show(None, [begin + json.dumps(document)], as_json=False)
                begin = between
        if as_json:
            show(None, ["]" if begin == between else "[]"], as_json=False)

    run(Settings.from_environment(), work)


def _rows(source: str, file: str, table: str | None, stack: ExitStack) -> "Iterator[Row]":
    from limen.transfer import csv_file, django, fastapi_users, json_lines  # noqa: PLC0415

    if source in _DATABASES:
        if file == "-":
            raise click.UsageError("A database is read from a file, not from standard input.")
        read = django.accounts_in if source == "django" else fastapi_users.accounts_in
        return read(Path(file), table)
    read_lines = csv_file.accounts_in if source == "csv" else json_lines.accounts_in
    return read_lines(_opened(file, stack))


def _opened(file: str, stack: ExitStack) -> BinaryIO:
    return sys.stdin.buffer if file == "-" else stack.enter_context(Path(file).open("rb"))


def _document(report: "Report", *, dry_run: bool) -> dict[str, Any]:
    from limen.transfer.records import WHY  # noqa: PLC0415

    return {
        "dry_run": dry_run,
        "imported": report.imported,
        "without_password": report.without_password,
        "disabled": report.disabled,
        "superusers": report.superusers,
        "there_already": report.there_already,
        "refused": [
            {"row": row, "code": code, "detail": WHY[code]} for row, code in sorted(report.refused)
        ],
    }


def _lines(report: "Report", *, dry_run: bool) -> Iterator[str]:
    from limen.transfer.records import WHY  # noqa: PLC0415

    for row, code in sorted(report.refused):
        yield f"Row {row} is refused: {WHY[code]} ({code})."
    yield f"{'Would import' if dry_run else 'Imported'} {report.imported} accounts."
    counts = {
        "without a password, whose owners have to be given one": report.without_password,
        "disabled": report.disabled,
        "superusers of their system": report.superusers,
    }
    yield from (f"Of these, {count} are {what}." for what, count in counts.items() if count)
    if report.there_already:
        yield f"{len(report.there_already)} have an account already, which is left as it is."
    if report.refused:
        yield f"{len(report.refused)} rows are refused."

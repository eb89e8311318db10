"""What all commands have in common: --json, examples in the help, and how errors are told."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Any

import click
from click.exceptions import NoArgsIsHelpError

from limen.errors import ConfigurationError, DatabaseUnavailable, LimenError
from limen.telemetry.redaction import one_line

FAILED = 1
MISCONFIGURED = 78  # EX_CONFIG of sysexits.h


class Failed(LimenError):
    """The command could not do what it was asked to do; the detail says why."""

    code = "failed"


class Command(click.Command):
    """A command with --json, and with examples at the end of its help, as they are typed."""

    def __init__(self, *args: Any, examples: Sequence[str], **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = examples
        self.params.append(
            click.Option(
                ["as_json", "--json"],
                is_flag=True,
                help="Print one JSON document, and errors as one too (on standard error).",
            )
        )

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"  {example}\n")


class Group(click.Group):
    """A noun, whose verbs are commands as above."""

    command_class = Command


class Program(click.Group):
    """The whole command line: turns whatever is raised on purpose into words and an exit code."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # Asked of the words themselves: a command line that cannot be parsed is told in JSON too.
        ctx.obj = "--json" in args
        with _telling(ctx):
            return super().parse_args(ctx, args)

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of use, not of the alphabet

    def invoke(self, ctx: click.Context) -> Any:
        with _telling(ctx):
            return super().invoke(ctx)


class Told(click.ClickException):
    """An error as a person or a program is told of it."""

    def __init__(self, error: click.UsageError | LimenError, *, as_json: bool) -> None:
        self.code, detail = _code_and_detail(error)
        super().__init__(detail)
        self.exit_code = _exit_code(error)  # type: ignore[misc]
        self._usage = error.ctx if isinstance(error, click.UsageError) else None
        self._as_json = as_json

    def show(self, file: IO[Any] | None = None) -> None:
        if self._as_json:
            document = {"error": {"code": self.code, "detail": self.message}}
            click.echo(as_document(document), file, err=True)
            return
        if self._usage is not None:
            click.echo(one_line(self._usage.get_usage()), file, err=True)
            click.echo(f"Try '{self._usage.command_path} --help'.", file, err=True)
        click.echo(f"limen: {one_line(self.message)}", file, err=True)


def as_document(value: object) -> str:
    """Return the value as one JSON document, in printable ASCII."""
    return json.dumps(value, indent=2).replace("\x7f", "\\u007f")  # JSON lets DEL pass as it is


def in_its_own_words(error: DatabaseUnavailable) -> str:
    """Return what the database said, such as "database is locked": an operator needs no less."""
    cause = error.__cause__
    return str(getattr(cause, "orig", None) or cause or error)


@contextmanager
def _telling(ctx: click.Context) -> Iterator[None]:
    try:
        yield
    except NoArgsIsHelpError:
        raise  # it is the help
    except (click.UsageError, LimenError) as error:
        raise Told(error, as_json=ctx.obj) from error


def _code_and_detail(error: click.UsageError | LimenError) -> tuple[str, str]:
    if isinstance(error, click.UsageError):
        return "usage", error.format_message()
    if isinstance(error, DatabaseUnavailable) and error.__cause__ is not None:
        return error.code, f"{error.detail} ({in_its_own_words(error)})"
    return error.code, error.detail


def _exit_code(error: click.UsageError | LimenError) -> int:
    if isinstance(error, click.UsageError):
        return error.exit_code
    return MISCONFIGURED if isinstance(error, ConfigurationError) else FAILED

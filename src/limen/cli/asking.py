"""Asking for a secret: at a prompt on a terminal, else one line of standard input."""

import sys

import click

from limen.cli.commands import Failed

_LONGEST_LINE = 65536  # bytes; the longest secret of all, a token, has 4096


def ask(what: str, *, twice: bool = False) -> str:
    """Return what somebody typed unseen or piped in; `twice` has it typed again at a prompt.

    Raises:
        Failed: There is nothing, or it is not UTF-8 text.
    """
    if sys.stdin and sys.stdin.isatty():  # there is none where it was closed
        typed = click.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
        return str(typed)
    line = sys.stdin.buffer.readline(_LONGEST_LINE) if sys.stdin else b""
    try:
        secret = line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Failed(f"{what}: standard input is not UTF-8 text.") from None
    if not secret:
        raise Failed(f"{what}: nothing came from standard input. Pipe it in as one line.")
    return secret

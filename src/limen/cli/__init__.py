"""The command line, `limen`: one file per noun, and a few words on how all of them behave.

    standard output   what was asked for; with --json exactly one JSON document
    standard error    prompts, banners and errors; with --json {"error": {"code", "detail"}}
    exit code         0 done · 1 failed · 2 wrongly called · 78 wrongly configured

A password, a hash or a token is typed at a prompt or read from standard input. No option takes
one, because the arguments of a process can be read by every user of the machine and stay in the
shell's history. Whatever is printed for a person is printed on one line with control characters
escaped, so that no stored text can steer a terminal.

The files of the nouns import little, so that help and a wrong setting are answered at once. What
works on the database or serves is imported by the command that needs it.
"""

import gc
import sys

# Objects that are made before garbage is looked for. At Python's own 700, looking through all that
# is imported takes an eighth of the time of a start, and nothing of it is garbage.
GARBAGE = 50_000


def main() -> None:
    """Run the command line on the arguments of this process, and exit."""
    gc.set_threshold(GARBAGE)
    try:
        from limen.cli.program import limen  # noqa: PLC0415  click may be missing

        for stream in (sys.stdout, sys.stderr):
            if hasattr(
                stream, "reconfigure"
            ):  # a terminal that cannot show é must not cost us more
                stream.reconfigure(errors="backslashreplace")
        limen(prog_name="limen")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "limen":
            raise
        sys.exit(
            "limen: the server is not installed, only the verifier: pip install 'limen[server]'"
        )

"""Huge pages: in what pieces the kernel of Linux gives a hash its memory.

libsodium takes the memory of each hash anew, so the kernel clears it each time: 19 MiB are 4,864
pages of 4 KiB, which can cost a third of the hash, or ten huge ones of 2 MiB. Who gets huge ones is
a setting of the whole host:

    always     whoever takes so much at once
    madvise    whoever asks for them, which libsodium does not
    never      nobody

Other programs may be worse off with `always`, so the operator has to weigh it (docs/operations.md).
`limen doctor` advises and never warns: beside such programs, and in a container, which cannot set
anything of its host, a warning would stay for ever.
"""

from collections.abc import Iterator
from pathlib import Path

from limen.cli.findings import Check
from limen.option_kinds import Argon2Cost

SETTING = Path("/sys/kernel/mm/transparent_hugepage/enabled")
COMMAND = f"echo always > {SETTING}"


def huge_pages() -> str | None:
    """Return the word that is set on this host, or None where its kernel has no such setting."""
    try:
        words = SETTING.read_text("ascii")  # always [madvise] never
    except OSError:
        return None
    return words.partition("[")[2].partition("]")[0] or None


def of_huge_pages(cost: Argon2Cost) -> Iterator[Check]:
    """Yield a check, where there is the setting and libsodium computes hashes of this cost."""
    found = huge_pages()
    if found is None or cost.lanes > 1:
        return
    advice = f": where the host is limen's own, '{COMMAND}' may make hashes quicker"
    yield Check("huge pages", "ok", found if found == "always" else found + advice)

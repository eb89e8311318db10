"""What a check of `limen doctor` has found."""

from typing import Literal, NamedTuple


class Check(NamedTuple):
    """One check. `says` is one line."""

    name: str
    verdict: Literal["ok", "warning", "failed"]
    says: str

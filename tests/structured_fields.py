"""Reading header fields as a client's parser does: lists of strings with integer parameters.

The part of RFC 9651 (structured fields) that the RateLimit headers use, and nothing more lenient.
"""

import re
from typing import NamedTuple

_PARAMETER = re.compile(r"; *([a-z*][a-z0-9_.*-]*)=(-?[0-9]{1,15})")
_MEMBER = re.compile(rf'"(?P<name>[ !#-\[\]-~]*)"(?P<parameters>(?:{_PARAMETER.pattern})*)')


class Member(NamedTuple):
    """One member of the list: a string and its parameters."""

    name: str
    parameters: dict[str, int]


def parse(field: str) -> list[Member]:
    """Return the members of a list.

    Raises:
        ValueError: It is no such list.
    """
    members = []
    for text in re.split(r"[ \t]*,[ \t]*", field):
        found = _MEMBER.fullmatch(text)
        if found is None:
            raise ValueError("not a list of strings with integer parameters")
        parameters = _PARAMETER.findall(found["parameters"])
        members.append(Member(found["name"], {name: int(value) for name, value in parameters}))
    return members

"""Scopes and roles: what an account may do, in words that its access tokens carry.

    scope    what its tokens are good for              orders:read orders:write
    roles    what its owner is, to who asks for it     editor reviewer

Each is one text, of words with single spaces between, as RFC 6749, section 3.3, writes scopes; an
empty text says that there are none. A token holds `scope` as that text, and `roles` as a list
(RFC 9068, section 2.2.3.1). What a word opens is for those to say who ask for it
(`limen.verify.fastapi`); limen itself asks for one, the scope `admin` (`limen.administration`).

The words are checked where they are given, before they are stored. The tokens that carry them are
made long after, when nobody is there who could correct them.
"""

import re
from typing import Literal

from limen.errors import InvalidRequest

# RFC 6749, section 3.3: visible ASCII, but for the quote and the backslash.
_WORDS = re.compile(r"([!#-\[\]-~]+( [!#-\[\]-~]+)*)?")

# They stand in every token, and a token has 4 KiB at most (`limen.verify.gate`). In its list of
# roles each has two more characters, its quotes.
_LONGEST_WORDS = 1024
_MOST_WORDS = 100


def check_words(words: str, what: Literal["scope", "role"]) -> None:
    """Refuse what a token could not carry as the scopes or roles of an account.

    Raises:
        InvalidRequest: They are no words with single spaces between.
    """
    fits = len(words) <= _LONGEST_WORDS and words.count(" ") < _MOST_WORDS
    if not (fits and _WORDS.fullmatch(words)):
        raise InvalidRequest(
            f"{what.capitalize()}s are at most {_MOST_WORDS} words of visible ASCII without quotes "
            f"and backslashes, {_LONGEST_WORDS} characters in all, with single spaces between.",
            field=what,
        )


def access(*, scope: str | None, roles: str | None) -> dict[str, object]:
    """Return what sets the scopes and roles of an account; None leaves them as they are.

    Raises:
        InvalidRequest: A token could not carry them, or both are None.
    """
    values = {"scope": scope, "roles": roles}
    named = {name: words for name, words in values.items() if words is not None}
    if not named:
        raise InvalidRequest("Say which scopes, which roles, or both.")
    check_words(named.get("scope", ""), "scope")
    check_words(named.get("roles", ""), "role")
    return {**named}

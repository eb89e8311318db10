"""The form in which passwords are hashed and compared: Unicode's NFKC (NIST SP 800-63B).

A phone and a laptop send the same typed character as different code points. In normal form they are
the same ones, so that what is typed alike is one password.
"""

import unicodedata


def normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def folded(text: str) -> str:
    """Return the normal form without regard to case, to compare words; never to hash them."""
    return normal(normal(text).casefold())

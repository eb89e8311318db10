"""base64url: bytes as letters, digits, `-` and `_`, without padding, as JOSE writes them.

The alphabet is that of RFC 4648, section 5; RFC 7515, section 2, leaves the `=` at the end away.
What is left needs no quoting in a URL, a header or a JSON text.

`encode` writes one text, but `decode` reads many as the same bytes: the last character may have
bits that nobody looks at, and Python passes over what is not of the alphabet. So it checks nothing,
and is for what was checked, or may be spelt in any way. Tokens are read by `limen.verify.gate`,
which takes the one spelling alone.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode


def encode(raw: bytes) -> str:
    """Return the text of the bytes."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of a text, in whichever of its spellings.

    Raises:
        ValueError: It is not ASCII, or has a length that no bytes have.
    """
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))

"""The last resort: what looks like a secret is blotted out of everything that is written.

Nothing in limen logs a secret on purpose. An exception's text, a field of somebody else's
library, or a path typed into an address bar may hold one all the same, so every string on its
way out passes here, and is judged twice:

    by name     a member, keyword, header or pair called password, token, e-mail... loses its value
    by shape    a JWT, Bearer or Basic credentials, an address, a password hash, a private key,
                and the credentials in front of a URL's host

A secret that is neither named nor shaped like one (a bare word in a sentence) cannot be known
from the outside. That is why events carry identifiers only.

The texts come from attackers, so the patterns take linear time: each starts only where a word
starts, and is possessive or atomic where it could be made to try again.
"""

import math
import re
from collections.abc import Mapping
from typing import Final

REDACTED: Final = "[redacted]"
MAX_TEXT: Final = 16_384  # characters; a longer text is an accident, and is paid for by the line
MAX_DEPTH: Final = 8  # levels of members within members; deeper, or in a circle, is not a log field

_NAMES: Final = (
    r"(?i:passw|passphrase|secret|token|authori[sz]ation|cookie|credential|e[-_]?mail|jwt"
    r"|api[-_]?key|private[-_]?key|idempotency|(?<![a-z])(?:pwd|otp|pin|fid|input)(?![a-z]))"
)
_A_SECRET_NAME = re.compile(_NAMES)

# `name=value`, `name: value`, `"name": "value"` and `("name", "value")`. An unquoted value goes on
# to the end of its line, because pass phrases have spaces. "InvalidToken: ..." is a class name and
# its message: a capital in the middle of a word followed by a bare colon assigns nothing.
_ASSIGNED = re.compile(
    rf"""(?<![\w-])(?!(?>\w*?[a-z][A-Z])\w*+:)
    (?P<name>(?>[\w-]*?{_NAMES})[\w-]*+(?:[\\"']*+\s*+[:=]+|["']\s*+,)\s*+)
    (?:\[redacted\]|b?(?P<quote>["'])(?:\\.|(?!(?P=quote))[^\\\r\n])*+(?P=quote)|[^\r\n]++)""",
    re.VERBOSE,
)
# Most fields are a word, an id or a path. Such a text can only hold a JWT that was cut short.
_PLAIN = re.compile(r"(?a)(?!\S{0,128}ey)[\w/-]{0,128}")

_ADDRESS_PART = r"[^\s\"<>()\[\]{},;:/=\\|&?]"

_SHAPES: Final = (
    (
        re.compile(
            r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY-----(?s:.*?)(?:-----END[^-]*+-----|\Z)"
        ),
        "",
    ),
    (_ASSIGNED, r"\g<name>"),
    (re.compile(r"(?i)\b(bearer|basic)\s++[^\s\"',]{8,}+"), r"\1 "),
    (re.compile(r"(?<=://)[^\s/@]*+(?=@)"), ""),
    (re.compile(r"\$(?:argon2\w*+|2[abxy]|scrypt|pbkdf2[\w-]*+)\$\S++"), ""),
    (re.compile(r"(?<!\w)(?:argon2|bcrypt(?:_sha256)?|scrypt|pbkdf2_\w++)\$\S++"), ""),  # Django's
    (
        re.compile(
            r"(?a)(?<![\w-])(?:ey[\w-]{14,}+(?:\.[\w-]*+)*+|[\w-]{16,}+\.[\w-]{2,}+\.[\w-]{16,}+)"
        ),
        "",
    ),
    (re.compile(rf"(?<!{_ADDRESS_PART}){_ADDRESS_PART}+?(?:[@＠﹫]|%40){_ADDRESS_PART}++"), ""),
)


def redact(value: object, *, _depth: int = 0) -> object:
    """Return a copy of `value` that is fit for JSON and holds no secret that can be recognised."""
    if value is None or isinstance(value, int) or _is_finite(value):
        return value
    if _depth >= MAX_DEPTH:
        return "[too deep]"
    if isinstance(value, Mapping):
        return {
            redact_text(_text(name)): redact_member(_text(name), member, _depth=_depth + 1)
            for name, member in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        items = list(value)
        if len(items) == 2 and isinstance(items[0], str | bytes):  # noqa: PLR2004  a name and its value
            return [redact(items[0]), redact_member(_text(items[0]), items[1], _depth=_depth + 1)]
        return [redact(item, _depth=_depth + 1) for item in items]
    return redact_text(_text(value))


def redact_member(name: str, value: object, *, _depth: int = 0) -> object:
    """Return what may be shown of a member with this name."""
    return REDACTED if _A_SECRET_NAME.search(name) else redact(value, _depth=_depth)


def redact_text(text: str) -> str:
    """Return the text, at most `MAX_TEXT` characters of it, without the secrets it shows."""
    if _PLAIN.fullmatch(text):
        return text
    for pattern, kept in _SHAPES:
        text = pattern.sub(kept + REDACTED, text)
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + "[cut]"


def one_line(text: str) -> str:
    """Return the text with all that could move a cursor or start a line written as an escape.

    That is everything not printable in Unicode's sense: CR, LF, ESC, C1 controls, line and
    paragraph separators, characters that turn the direction of writing, lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _is_finite(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "backslashreplace")
    try:
        return str(value)
    except Exception:  # noqa: BLE001  a stranger's __str__ must not cost the log line
        return f"<{type(value).__name__}>"

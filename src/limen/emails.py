"""E-mail addresses: the form that is shown, and the key under which an account is unique.

One mailbox has many spellings, and a limit counted per spelling is no limit. So every address has
one key, and accounts, limits and look-ups know only the key:

    outer white space     dropped
    before the @          NFKC, then case-folded: full-width, ligature and capital forms are one
    after the @           the ASCII form that DNS knows (IDNA): bücher.de is xn--bcher-kva.de

What mail servers may tell apart stays apart: `a+tag`, `a.b` and `ab` are three accounts, and the
Turkish dotless `ı` is no `i`. The address is normalised first and checked afterwards, so that
nothing turns into an @ or a dot behind the check's back, and mail goes only to the stored address,
never to the one just typed. Quoted local parts, display names, domain literals and a trailing dot
are refused. RFC 5321 section 4.1.2, RFC 6531 section 3.3, RFC 5890.
"""

import hashlib
import unicodedata
from dataclasses import dataclass, field

from email_validator import validate_email

from limen.errors import InvalidRequest

LONGEST_TYPED = 1024  # characters looked at: Unicode forms shrink, but no 254 bytes are this long
LONGEST = 254  # bytes of UTF-8 (RFC 5321, section 4.5.3.1.3)

# Appended before, and removed after, the check of a domain such as "localhost": the library
# refuses special-use names by a global list, which belongs to the whole process.
_COVER = ".example.com"


@dataclass(frozen=True, slots=True)
class Email:
    """An address as it is shown and mailed to, and the `key` that is its account's alone."""

    shown: str = field(repr=False)
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Emails:
    """Reads addresses as the operator admits them: `allow_special` is that of `parse`."""

    allow_special: bool = False

    def parse(self, address: str) -> Email:
        """Read an address that somebody typed; see `parse`.

        Raises:
            InvalidRequest: It is no address that an account can have.
        """
        return parse(address, allow_special=self.allow_special)

    def lookup_key(self, address: str) -> str:
        """Return the key to look an account up by; see `lookup_key`."""
        return lookup_key(address, allow_special=self.allow_special)


def parse(address: str, *, allow_special: bool = False) -> Email:
    """Read an address that somebody typed.

    `allow_special` admits names that public mail never reaches: `localhost`, `.test`, `.local`.

    Raises:
        InvalidRequest: It is no address that an account can have. Never repeats it.
    """
    if len(address) > LONGEST_TYPED:
        raise _refused(f"An e-mail address has at most {LONGEST} bytes.")
    if any(unicodedata.category(character) == "Cc" for character in address):
        raise _refused("The e-mail address contains control characters: remove them.")
    if address.count("@") != 1:  # counted as typed: normalising makes an @ of U+FF20, for one
        raise _refused("An e-mail address has exactly one @: write it like name@example.com.")
    local, _, domain = unicodedata.normalize("NFKC", address.strip()).partition("@")
    ascii_domain, unicode_domain = _checked_domain(local, domain, allow_special=allow_special)
    # Punycode is shown as it was typed: its Unicode form may look like somebody else's domain.
    shown_domain = ascii_domain if domain.isascii() else unicode_domain
    email = Email(shown=f"{local}@{shown_domain}", key=f"{_folded(local)}@{ascii_domain}")
    if len(email.key.encode()) > LONGEST:
        raise _refused(f"An e-mail address has at most {LONGEST} bytes.")
    return email


def canonical(address: str, *, allow_special: bool = False) -> str:
    """Return the key of an address; it is its own key.

    Raises:
        InvalidRequest: It is no address that an account can have.
    """
    return parse(address, allow_special=allow_special).key


def lookup_key(address: str, *, allow_special: bool = False) -> str:
    """Return the key to look an account up by, and to count attempts under; for any string.

    What is no address has a stable key too, one that no account can have (it holds no @), so that
    a sign-in with it is limited, checked and refused like any other.
    """
    try:
        return canonical(address, allow_special=allow_special)
    except InvalidRequest:
        looked_at = address[:LONGEST_TYPED].encode(errors="surrogatepass")
        return "not-an-address:" + hashlib.sha256(looked_at).hexdigest()


def beginning_of_key(beginning: str) -> str:
    """Return what the keys of the addresses begin with that begin like this; for any string.

    A label of a domain in letters of its own must be whole: only then has it an ASCII form.
    """
    local, at, domain = unicodedata.normalize("NFKC", beginning.lstrip()).partition("@")
    if not at:
        return _folded(local)
    whole = domain.rstrip(".")
    try:
        ascii_domain = _checked_domain("somebody", whole, allow_special=True)[0]
    except InvalidRequest:
        ascii_domain = whole.lower()
    return f"{_folded(local)}@{ascii_domain}{domain[len(whole) :]}"


def _refused(detail: str) -> InvalidRequest:
    return InvalidRequest(detail, field="email")


def _checked_domain(local: str, domain: str, *, allow_special: bool) -> tuple[str, str]:
    cover = _COVER if allow_special else ""
    try:
        checked = validate_email(
            f"{local}@{domain}{cover}",
            allow_smtputf8=True,
            allow_empty_local=False,
            allow_quoted_local=False,
            allow_domain_literal=False,
            allow_display_name=False,
            check_deliverability=False,
            test_environment=False,
            globally_deliverable=True,
        )
    except ValueError:  # its text repeats the address, so it must not be chained
        raise _refused("This is not an e-mail address: write it like name@example.com.") from None
    ascii_domain = checked.ascii_domain.removesuffix(cover)
    if ascii_domain.rpartition(".")[2].isdigit():  # 127.0.0.1, which the cover has hidden
        raise _refused("This is not an e-mail address: write it like name@example.com.")
    return ascii_domain, checked.domain.removesuffix(cover)


def _folded(local: str) -> str:
    # Folding can undo the normalisation, which is why it is done once more.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", local).casefold())

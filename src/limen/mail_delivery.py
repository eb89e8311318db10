"""Delivering mail: a letter from the outbox becomes an e-mail, and goes to the mail server.

Links are built from LIMEN_PUBLIC_URL and nothing else: no header of any request has a part in them.
What they carry stands in the fragment, which browsers send to nobody (`static/account.html`).

The headers are written here, line by line. Python's own way takes `=?utf-8?q?=0D=0ABcc=3A...?=`,
which may stand before the @ of an address, for an encoded word, and folds it into a header of its
own (CVE-2024-6923 was not the last of its kind). So no header holds a control character, and no
such address gets mail.

What a stranger may have chosen, a name or a device, is put on one line, and what a mail program
would turn into a link is taken out of it.

Without a mail server, mail is kept for the development inbox (`limen.inbox`), or goes nowhere.
"""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import policy
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, parseaddr
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from limen import emails
from limen.clock import SECOND
from limen.errors import InvalidRequest
from limen.mail import MESSAGES, WITH_CODE
from limen.outbox import Letter, NotDelivered, Undeliverable
from limen.smtp import Accepted, MailServer, NotSent
from limen.templates import Templates, Words

PAGE: Final = "account"  # below the public URL: where links lead

# The code of these is one of another purpose.
_PURPOSES: Final = {"already_there": "reset", "locked": "reset", "reset_required": "reset"}

# Every mail server takes this, and no line of it is changed on the way.
_POLICY: Final = policy.SMTP.clone(cte_type="7bit")

_LONGEST_LINE: Final = 78  # RFC 5322, section 2.1.1
_LONGEST_WORD: Final = 120
_LINK: Final = re.compile(
    r"(?i)\S*://\S*|\bwww\.\S*|(?<![@\w.-])(?:[\w-]+\.)+[a-z][\w-]+(?![@\w.-])(?:[/:?#]\S*)?"
)
_ENCODED_WORD: Final = "=?"


class Mailbox(NamedTuple):
    """An address as SMTP takes it: its domain in ASCII, and what is before the @ if possible."""

    address: str
    needs_utf8: bool


@dataclass(frozen=True, slots=True)
class Written:
    """A letter, filled in; `link` and `code` are None where it brings none."""

    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)
    link: str | None = field(repr=False)
    code: str | None = field(repr=False)


class MailDelivery:
    """Writes letters, and hands them to the mail server, if there is one.

    `sender` is whom they come from, `service` what people know it as.
    """

    def __init__(
        self,
        templates: Templates,
        server: MailServer | None,
        *,
        sender: str,
        service: str,
        public_url: str,
    ) -> None:
        self._templates = templates
        self.server = server
        self._sender = parseaddr(sender)
        self._service = service
        self._public_url = public_url
        self._host = host_of(public_url)

    def check(self) -> None:
        """Write every message once, to nobody, if the operator has templates of his own.

        Raises:
            ConfigurationError: One of them is wrong.
        """
        if self._templates.directory is None:
            return
        bare = {"service": self._service, "url": self._public_url, "to": "ada@example.com"}
        bare |= {"at": _moment(0), "good_for": _duration(3600)}
        samples: list[tuple[str, Words]] = []
        for message in MESSAGES:
            samples.append(
                (message, {**bare, "link": self._link(message, "A" * 22), "code": "123456"})
            )
            if message not in WITH_CODE:
                samples.append((message, {**bare, "link": None, "code": None}))
        self._templates.check(samples, with_code=WITH_CODE)

    def write(self, letter: Letter) -> Written:
        """Fill in the templates of a letter."""
        content, code = letter.content, letter.content["code"]
        words = {name: _harmless(word) for name, word in content["words"].items()} | {
            "service": self._service,
            "url": self._public_url,
            "to": content["to"],
            "at": _moment(letter.created_at),
            "good_for": _duration(content["good_for"]),
            "link": code and self._link(letter.subject, code["token"]),
            "code": code and code["digits"],
        }
        rendered = self._templates.render(letter.subject, words)
        return Written(
            content["to"],
            _one_line(rendered.subject),
            rendered.text,
            rendered.html,
            words["link"],
            words["code"],
        )

    def compose(self, letter: Letter, mailbox: Mailbox) -> bytes:
        """Write a letter as an e-mail."""
        written = self.write(letter)
        body = EmailMessage(_POLICY)
        body.set_content(written.text)
        body.add_alternative(written.html, subtype="html")
        headers = {
            "Date": format_datetime(_time(letter.created_at)),
            "From": formataddr(self._sender),
            "To": mailbox.address,
            "Subject": _encoded(written.subject),
            "Message-ID": f"<{letter.id}@{self._host}>",  # the same at each try
            "Auto-Submitted": "auto-generated",  # RFC 3834: no holiday notices, please
        }
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        return "".join(lines).encode() + body.as_bytes()

    async def send(self, letter: Letter) -> Accepted:
        """Hand a letter to the mail server.

        Raises:
            NotSent: It was not taken.
            Undeliverable: Nothing can be sent to its mailbox, or there is no mail server.
        """
        if self.server is None:
            raise Undeliverable("there is no mail server: LIMEN_SMTP_URL names one")
        mailbox = mailbox_of(letter.content["to"])
        return await self.server.send(
            self.compose(letter, mailbox),
            sender=self._sender[1],
            recipient=mailbox.address,
            needs_utf8=mailbox.needs_utf8,
        )

    async def deliver(self, letter: Letter) -> str:
        """Do the same for the outbox.

        Raises:
            Undeliverable, NotDelivered: It was not taken; for good, or this time.
        """
        try:
            return (await self.send(letter)).answer
        except NotSent as error:
            raise (Undeliverable if error.is_final else NotDelivered)(error.reason) from None

    async def keep(self, letter: Letter) -> str:
        """Leave a letter where the development inbox finds it, if it can be written at all."""
        self.write(letter)
        return "kept for the development inbox"

    def _link(self, message: str, token: str) -> str:
        return f"{self._public_url}/{PAGE}#{_PURPOSES.get(message, message)}={token}"


def host_of(public_url: str) -> str:
    """Return the name by which mail and mail servers know us."""
    host = urlsplit(public_url).hostname or ""
    if ":" in host:
        return f"[IPv6:{host}]"  # RFC 5321, section 4.1.3
    return f"[{host}]" if host.replace(".", "").isdigit() else host


def mailbox_of(address: str) -> Mailbox:
    """Return how SMTP takes an address that was stored.

    Raises:
        Undeliverable: It takes none like this.
    """
    try:
        email = emails.parse(address, allow_special=True)
    except InvalidRequest:
        raise Undeliverable("this is no address that mail can be sent to") from None
    local, domain = email.shown.rpartition("@")[0], email.key.rpartition("@")[2]
    if _ENCODED_WORD in local:
        raise Undeliverable("an address that mail programs would misread")
    return Mailbox(f"{local}@{domain}", not local.isascii())


def _harmless(word: str) -> str:
    """Return what may stand in a mail of a text that a stranger may have chosen."""
    return " ".join(_LINK.sub("…", _one_line(word)[:_LONGEST_WORD]).split())


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))


def _encoded(text: str) -> str:
    """Return a text as a header takes it (RFC 2047)."""
    if text.isascii() and _ENCODED_WORD not in text and len(text) <= _LONGEST_LINE:
        return text
    return Header(text, "utf-8", header_name="Subject").encode(linesep="\r\n")


def _time(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // SECOND, UTC)


def _moment(microseconds: int) -> str:
    return f"{_time(microseconds):%d %B %Y, %H:%M} UTC".lstrip("0")


def _duration(seconds: int) -> str:
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        number, rest = divmod(seconds, size)
        if not rest and (number > 1 or unit != "day"):  # 24 hours rather than 1 day
            break
    return f"{number} {unit}{'' if number == 1 else 's'}"

"""Is mail in order? What `limen mail test` tells of a failure, and what `limen doctor` looks at."""

from typing import Final

from limen.cli.findings import Check
from limen.clock import system_clock
from limen.database.engine import Database
from limen.deliveries import Deliveries
from limen.errors import ConfigurationError
from limen.features import mail_delivery_of
from limen.settings import Settings
from limen.smtp import MailServer, NotSent

# What to do about each reason; the first that is found in it counts.
ADVICE: Final = (
    ("sign-in refused", "check the user and the password in LIMEN_SMTP_URL"),
    ("no sign-in", "leave out the user and the password, or try smtps://"),
    ("no STARTTLS", "smtps:// is for servers that speak TLS at once"),
    ("certificate", "name the server as its certificate does; SSL_CERT_FILE names authorities"),
    ("no TLS", "smtp:// is for servers that begin without TLS"),
    ("cannot be reached", "check host and port in LIMEN_SMTP_URL"),
    ("in time", "check host and port; smtps:// is for servers that speak TLS at once"),
    ("sender refused", "LIMEN_MAIL_FROM must be an address that the server lets us use"),
)


def told(server: MailServer, error: NotSent) -> str:
    """Return what an operator is told of a failure: also what the server said."""
    said = f" ({error.said})" if error.said else ""
    advice = next((f": {words}" for part, words in ADVICE if part in error.reason), "")
    return f"{server.name}: {error.reason}{said}{advice}"


async def of_mail(settings: Settings) -> Check:
    """Write every message, and sign in at the mail server; nothing is sent."""
    delivery = mail_delivery_of(settings)
    try:
        delivery.check()
    except ConfigurationError as error:
        return Check("mail", "failed", error.detail)
    if delivery.server is None:
        return _without_server(settings)
    try:
        await delivery.server.try_out()
    except NotSent as error:
        return Check("mail", "failed", told(delivery.server, error))
    if settings.mail_from.rstrip(">").endswith("@localhost"):
        return Check("mail", "warning", f"comes from {settings.mail_from}: set LIMEN_MAIL_FROM")
    return Check("mail", "ok", f"{delivery.server.name} lets us in")


def _without_server(settings: Settings) -> Check:
    if settings.mail_goes == "into the inbox":
        return Check("mail", "ok", f"not sent: read it at {settings.public_url}/dev/inbox")
    return Check("mail", "warning", "is not sent: LIMEN_SMTP_URL names no mail server")


async def of_outbox(database: Database) -> Check:
    """Count what waits, and what was given up.

    Raises:
        DatabaseUnavailable: It cannot be counted.
    """
    waiting, late, failed = await Deliveries(database, system_clock).summary()
    says = f"{waiting} letters wait, {failed} were given up lately"
    if late:
        says = f"{late} of {waiting} letters are overdue: does 'limen serve' run?"
        return Check("outbox", "warning", says)
    return Check("outbox", "warning" if failed else "ok", f"{says}: 'limen mail outbox'")

"""A letter becomes an e-mail."""

from email import message_from_bytes, policy
from email.message import Message

import pytest

from limen.codes import Code
from limen.mail import written_down
from limen.mail_delivery import MailDelivery, host_of, mailbox_of
from limen.outbox import Letter, Undeliverable
from limen.templates import Templates

CODE = Code(token="A7xQ" * 6, digits="618034")
NOON = 1_795_953_600_000_000  # 29 November 2026, 12:00 UTC


def letter(message: str = "reset", *, code: Code | None = CODE, good_for: int = 3600) -> Letter:
    content = written_down("ada@example.com", code=code, good_for=good_for)
    return Letter("ab" * 16, "mail", message, None, None, 1, NOON, content)


def delivery(
    *, service: str = "Orders", sender: str = "Orders <no-reply@example.com>", url: str = ""
) -> MailDelivery:
    url = url or "https://login.example.com"
    return MailDelivery(Templates(), None, sender=sender, service=service, public_url=url)


def composed(made: MailDelivery, one: Letter | None = None) -> tuple[bytes, Message]:
    raw = made.compose(one or letter(), mailbox_of("ada@example.com"))
    return raw, message_from_bytes(raw, policy=policy.default)


@pytest.mark.parametrize(
    ("url", "link"),
    [
        ("https://login.example.com", "https://login.example.com/account#"),
        ("https://example.com/login", "https://example.com/login/account#"),
        ("http://localhost:8000", "http://localhost:8000/account#"),
    ],
)
def test_links_are_built_from_the_public_url(url: str, link: str) -> None:
    assert delivery(url=url).write(letter()).link == f"{link}reset={CODE.token}"


@pytest.mark.parametrize(
    ("message", "purpose"),
    [
        ("verify", "verify"),
        ("reset", "reset"),
        ("email_change", "email_change"),
        ("invite", "invite"),
        ("already_there", "reset"),
        ("locked", "reset"),
    ],
)
def test_a_link_says_what_its_code_is_for(message: str, purpose: str) -> None:
    written = delivery().write(letter(message))

    assert written.link == f"https://login.example.com/account#{purpose}={CODE.token}"
    assert written.code == CODE.digits
    assert written.link in written.text


def test_without_a_code_there_is_no_link() -> None:
    written = delivery().write(letter("password_changed", code=None))

    assert (written.link, written.code) == (None, None)
    assert "29 November 2026, 12:00 UTC" in " ".join(written.text.split())


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (300, "5 minutes"),
        (3600, "1 hour"),
        (5400, "90 minutes"),
        (86400, "24 hours"),
        (7 * 86400, "7 days"),
    ],
)
def test_people_are_told_how_long_a_code_is_good(seconds: int, words: str) -> None:
    text = delivery().write(letter(good_for=seconds)).text

    assert f"good for {words}, and only once" in " ".join(text.split())


@pytest.mark.parametrize("service", ["Orders", "Bücher & Söhne", "x" * 64, "注文", "=?utf-8?q?a?="])
def test_every_service_name_survives_the_headers(service: str) -> None:
    raw, message = composed(delivery(service=service, sender="Bücher <no-reply@example.com>"))

    head = raw.partition(b"\r\n\r\n")[0]
    assert head.isascii()
    assert max(map(len, head.split(b"\r\n"))) <= 78
    assert message["Subject"] == f"Choose a new password for {service}"
    assert message["From"] == "Bücher <no-reply@example.com>"


def test_lines_are_as_smtp_wants_them() -> None:
    raw, message = composed(delivery(service="Bücher"))

    assert raw.count(b"\n") == raw.count(b"\r\n")
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 100
    assert message.get_content_type() == "multipart/alternative"
    kinds = [part.get_content_type() for part in message.iter_parts()]  # type: ignore[attr-defined]
    assert kinds == ["text/plain", "text/html"]


@pytest.mark.parametrize(
    ("stored", "address", "needs_utf8"),
    [
        ("ada@example.com", "ada@example.com", False),
        ("Ada.Lovelace+x@example.com", "Ada.Lovelace+x@example.com", False),
        ("ada@bücher.de", "ada@xn--bcher-kva.de", False),
        ("ada@xn--bcher-kva.de", "ada@xn--bcher-kva.de", False),
        ("jürgen@bücher.de", "jürgen@xn--bcher-kva.de", True),
        ("ada@localhost", "ada@localhost", False),
        ("ada@intranet.test", "ada@intranet.test", False),
    ],
)
def test_an_address_is_sent_to_as_it_was_stored(
    stored: str, address: str, *, needs_utf8: bool
) -> None:
    assert mailbox_of(stored) == (address, needs_utf8)


@pytest.mark.parametrize("stored", ["", "ada", "a@b@example.com", "ada@-x-.com", "a b@example.com"])
def test_nothing_is_sent_to_what_is_no_address(stored: str) -> None:
    with pytest.raises(Undeliverable) as caught:
        mailbox_of(stored)
    assert not stored or stored not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://login.example.com/sso", "login.example.com"),
        ("http://localhost:8000", "localhost"),
        ("http://127.0.0.1:8000", "[127.0.0.1]"),
        ("http://[::1]:8000", "[IPv6:::1]"),
    ],
)
def test_mail_servers_are_told_our_name(url: str, name: str) -> None:
    assert host_of(url) == name


def test_nothing_of_a_letter_shows_where_it_is_printed() -> None:
    written = delivery().write(letter())

    assert "618034" not in repr(written)
    assert "ada" not in repr(written)

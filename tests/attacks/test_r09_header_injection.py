r"""R9: no address, name or word makes a header of its own, or a link in somebody's mail.

CR and LF are refused in addresses, but an address may hold `=?utf-8?q?=0D=0ABcc=3A...?=` before
its @, which is made of allowed characters. Python's own `EmailMessage` decodes that when it folds a
header, and writes the line break with what follows (cf. CVE-2024-6923). And a stranger who may
choose a word in somebody's mail, such as the name of his device, would have it say `evil.example`.
"""

from email import message_from_bytes, policy
from itertools import product
from pathlib import Path

import httpx2
import pytest

from limen.limen import Limen
from limen.mail import written_down
from limen.mail_delivery import MailDelivery, mailbox_of
from limen.outbox import Letter, Undeliverable
from limen.templates import Templates
from tests.people import AUTH, PASSWORD
from tests.stored import row_counts

pytestmark = pytest.mark.anyio

BREAKS = ["\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x85", "\u2028"]
ADDRESSES = ["ada{}Bcc:eve@example.com", "ada@example.com{}Bcc:eve@evil.example", "{}@x.com"]
HEADERS = [
    *("Date", "From", "To", "Subject", "Message-ID", "Auto-Submitted"),
    *("MIME-Version", "Content-Type"),
]


@pytest.fixture
def database_url(migrated_sqlite_url: str) -> str:
    """What is refused never comes near a database."""
    return migrated_sqlite_url


async def test_a_line_break_in_an_address_is_refused(
    limen: Limen, http: httpx2.AsyncClient
) -> None:
    for line, address in product(BREAKS, ADDRESSES):
        body = {"email": address.format(line), "password": PASSWORD}
        answer = await http.post(f"{AUTH}/register", json=body)
        assert (answer.status_code, answer.json()["field"]) == (422, "email"), repr(body)

    assert (await row_counts(limen))["accounts"] == 0


@pytest.mark.parametrize(
    "local",
    [
        "=?utf-8?q?=0D=0ABcc=3A_eve=40evil.example?=",
        "=?utf-8?b?DQpCY2M6IGV2ZUBldmlsLmV4YW1wbGU=?=",
        "=?utf-8?q?eve=40evil.example=2C?=",
        "ada=?utf-8?q?x?=",
    ],
)
def test_an_address_that_decodes_to_something_else_gets_no_mail(local: str) -> None:
    with pytest.raises(Undeliverable) as caught:
        mailbox_of(f"{local}@example.com")
    assert local not in str(caught.value)


def written(own: Path, word: str) -> tuple[list[str], str]:
    """Return the headers and the text of a mail whose templates show the word."""
    (own / "test.txt").write_text("Subject: Hello {{ device }}\n\nHello {{ device }}!\n")
    delivery = MailDelivery(
        Templates(own),
        None,
        sender="no-reply@example.com",
        service="Orders",
        public_url="https://login.example.com",
    )
    content = written_down("ada@example.com", good_for=3600, device=word)
    letter = Letter("ab" * 16, "mail", "test", None, None, 1, 0, content)
    raw = delivery.compose(letter, mailbox_of("ada@example.com"))
    message = message_from_bytes(raw, policy=policy.default)
    assert message["To"] == "ada@example.com"
    return message.keys(), delivery.write(letter).text


@pytest.mark.parametrize(
    "word",
    [
        "Firefox\r\nBcc: eve@evil.example",
        "Firefox\n\nHello, your account is at risk",
        "=?utf-8?q?=0D=0ABcc=3A_eve=40evil.example?=",
        "\u2028Bcc: eve@evil.example",
        "\x85Bcc: eve@evil.example",
        "x" * 5000,
    ],
    ids=lambda word: repr(word)[:40],
)
def test_a_strangers_word_in_a_subject_stays_in_it(tmp_path: Path, word: str) -> None:
    headers, text = written(tmp_path, word)

    assert headers == HEADERS
    assert text.count("\n") == 1
    assert len(text) < 200


@pytest.mark.parametrize(
    "word",
    [
        "https://evil.example/login",
        "evil.example",
        "EVIL.example:8080/login",
        "www.evil.example",
        "evil.example?a=1",
        "free money at evil.example/login, now",
        "ftp://evil",
        "(evil.co.uk)",
    ],
)
def test_a_strangers_word_is_no_link(tmp_path: Path, word: str) -> None:
    assert "evil" not in written(tmp_path, word)[1].lower()


@pytest.mark.parametrize(
    "word", ["Firefox 128.0 on Windows", "python-requests/2.32.3", "ada@example.com", "O'Hara, A."]
)
def test_a_harmless_word_is_left_as_it_is(tmp_path: Path, word: str) -> None:
    assert f"Hello {word}!" in written(tmp_path, word)[1]

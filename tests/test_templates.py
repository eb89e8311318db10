"""The texts of the messages: limen's own, and an operator's in their place."""

import re
from pathlib import Path

import pytest

from limen import templates
from limen.codes import Code
from limen.errors import ConfigurationError
from limen.mail import MESSAGES, written_down
from limen.mail_delivery import MailDelivery, Written
from limen.outbox import Letter
from limen.templates import Templates

OURS = Path(templates.__file__).parent / "data" / "mail"
CODE = Code(token="A7xQ" * 6, digits="618034")
HOSTILE = '"><img src=x onerror=alert(1)>'


def delivery(directory: Path | None = None, service: str = "Orders") -> MailDelivery:
    return MailDelivery(
        Templates(directory),
        None,
        sender="limen <limen@localhost>",
        service=service,
        public_url="https://login.example.com",
    )


def written(
    message: str, directory: Path | None = None, service: str = "Orders", **words: str
) -> Written:
    content = written_down("ada@example.com", code=CODE, good_for=3600, **words)
    letter = Letter("ab" * 16, "mail", message, None, None, 1, 0, content)
    return delivery(directory, service).write(letter)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An empty directory for templates of the operator's own."""
    (tmp_path / "templates").mkdir()
    return tmp_path / "templates"


def problem(own: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        delivery(own).check()
    assert caught.value.variable == "LIMEN_MAIL_TEMPLATES"
    return caught.value.detail


def test_every_message_has_a_text_and_the_same_in_html() -> None:
    named = {f"{message}.{kind}" for message in MESSAGES for kind in ("txt", "html")}

    assert {file.name for file in OURS.iterdir()} == named | {"layout.html"}


def test_ours_pass_the_check_of_an_operators(own: Path) -> None:
    delivery(own).check()


@pytest.mark.parametrize("message", MESSAGES)
def test_nothing_in_a_mail_is_fetched_from_anywhere(message: str) -> None:
    html = written(message).html

    assert not re.findall(r"<(?:img|link|script|iframe|object|video|audio)\b|\bsrc=|url\(", html)
    assert set(re.findall(r"https?://[^/\"<]+", html)) <= {"https://login.example.com"}


@pytest.mark.parametrize("message", MESSAGES)
def test_lines_of_text_are_short_enough_for_every_mail_program(message: str) -> None:
    lines = written(message).text.splitlines()

    assert all(len(line) <= 78 for line in lines)
    assert "\n\n\n" not in "\n".join(lines)


@pytest.mark.parametrize("message", MESSAGES)
def test_what_is_filled_in_is_escaped_in_html_alone(message: str) -> None:
    found = written(message, service=HOSTILE)

    assert HOSTILE not in found.html
    assert "&lt;img src=x" in found.html
    assert HOSTILE in found.subject + found.text
    assert "&lt;" not in found.subject + found.text


def test_an_operator_replaces_what_he_likes_file_by_file(own: Path) -> None:
    (own / "reset.txt").write_text("Subject: Neues Passwort\n\nHier: {{ link }}\n")
    (own / "_footer.html").write_text("<p>Example Ltd, {{ service }}</p>")
    (own / "layout.html").write_text(
        "<main>{% block before %}{% endblock %}{{ code }}{% include '_footer.html' %}</main>"
    )
    (own / ".git").mkdir()
    delivery(own).check()
    found = written("reset", own)

    assert found.subject == "Neues Passwort"
    assert found.text == f"Hier: https://login.example.com/account#reset={CODE.token}\n"
    assert "asked for a new password" in found.html
    assert "<p>Example Ltd, Orders</p></main>" in found.html
    assert written("verify", own).subject == "Confirm your e-mail address for Orders"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("reset.txt", "Hello\n\n{{ link }}", "reset.txt must begin with a line 'Subject: ...'"),
        ("reset.txt", "Subject:\n\n{{ link }}", "reset.txt must begin with a line 'Subject: ...'"),
        ("reset.txt", "Subject: Hello\n", "reset.txt must begin with a line 'Subject: ...'"),
        ("reset.txt", "Subject: a\n\n{{ lnik }}", "reset.txt, line 3: 'lnik' is undefined"),
        ("reset.html", "<p>\n{{ link", "reset.html, line 2: unexpected end of template"),
        ("reset.html", "{% extends 'x.html' %}", "asks for x.html, which is not there"),
        ("reset.html", "<p>Hello</p>", "reset.html shows neither its link nor its code"),
        ("reset.txt", "Subject: a\n\nHello", "reset.txt shows neither its link nor its code"),
        ("locked.txt", "Subject: a\n\n{{ 1 / 0 }}", "locked.txt, line 3: division by zero"),
        ("rest.txt", "", "rest.txt is no template of limen's, perhaps reset.txt is meant"),
        ("reset.htm", "", "reset.htm is no template of limen's, perhaps reset.html is meant"),
        ("logo.png", "", "logo.png is no template of limen's"),
        ("test.txt", "Subject: a\n\n{{ to.__class__ }}", "test.txt, line 3: access to attribute"),
        ("test.txt", "Subject: a\n\n{{ ''.join.__self__ }}", "test.txt, line 3: access to"),
    ],
)
def test_a_mistake_is_told_with_its_place(own: Path, name: str, text: str, told: str) -> None:
    (own / name).write_text(text)

    assert told in problem(own)


def test_a_file_that_is_no_text_is_told(own: Path) -> None:
    (own / "reset.txt").write_bytes(b"Subject: \xff\n\nhello")

    assert "reset.txt" in problem(own)


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in problem(tmp_path / "nowhere")


def test_templates_reach_no_file_outside_their_directory(own: Path) -> None:
    (own.parent / "secret.html").write_text("secret")
    (own / "reset.html").write_text("{% include '../secret.html' %}{{ link }}")

    assert "asks for ../secret.html, which is not there" in problem(own)


def test_what_changes_after_the_start_changes_nothing(own: Path) -> None:
    (own / "test.txt").write_text("Subject: One\n\nOne\n")
    made = delivery(own)
    letter = Letter("0", "mail", "test", None, None, 1, 0, written_down("a@b.example", good_for=0))
    assert made.write(letter).subject == "One"
    (own / "test.txt").write_text("{{ broken")

    assert made.write(letter).subject == "One"

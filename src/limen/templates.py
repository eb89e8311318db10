"""Templates: the texts of the messages, and filling them in.

Each message has two, `reset.txt` and `reset.html`, and the same is said in both. The first line of
the text is the subject:

    Subject: Choose a new password for {{ service }}

    Somebody, most likely you, ...

A directory of the operator's comes first, file by file; what it lacks is limen's (`data/mail`).
Templates are data: they run in Jinja's sandbox, cannot change what they are given, and escape it in
HTML. A word that is not there is an error, and so is a file whose name nothing asks for. Where
there is such a directory, all messages are filled in once when limen starts, so that a mistake is
found then, and not with the first person who has forgotten his password.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from jinja2 import (
    FileSystemLoader,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
    select_autoescape,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from limen.errors import ConfigurationError

VARIABLE: Final = "LIMEN_MAIL_TEMPLATES"
LAYOUT: Final = "layout.html"  # around every HTML text
_SUBJECT: Final = "Subject:"
_OURS: Final = Path(__file__).parent / "data" / "mail"

Words = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message, filled in."""

    subject: str = field(repr=False)
    text: str = field(repr=False)
    html: str = field(repr=False)


class Templates:
    """The templates of limen, and those of a directory that replace some of them."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory
        self._jinja = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader([directory, _OURS] if directory else [_OURS]),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # what was checked at start is what is sent
        )

    def render(self, message: str, words: Words) -> Rendered:
        """Fill a message in.

        Raises:
            ValueError: Its text has no subject, or nothing below it.
            jinja2.TemplateError: It cannot be filled in with these words.
        """
        head, _, text = self._jinja.get_template(f"{message}.txt").render(words).partition("\n")
        subject = head.removeprefix(_SUBJECT).strip()
        if not head.startswith(_SUBJECT) or not subject or not text.strip():
            raise ValueError(f"must begin with a line '{_SUBJECT} ...', and go on below it")
        html = self._jinja.get_template(f"{message}.html").render(words)
        return Rendered(subject, text.strip() + "\n", html)

    def check(self, samples: Collection[tuple[str, Words]], *, with_code: Collection[str]) -> None:
        """Fill in every message with the words of its samples, and look for files of no use.

        Those `with_code` are of no use either if they show neither the link nor the digits.

        Raises:
            ConfigurationError: A template is wrong; it names the file.
        """
        for name in self._own_files():
            self._check_name(name, {message for message, _ in samples})
        for message, words in samples:
            try:
                rendered = self.render(message, words)
            except Exception as error:  # a template can make Python raise anything
                raise self._wrong(_place(message, error), _problem(error)) from error
            if message in with_code:
                self._check_code(message, rendered, (str(words["link"]), str(words["code"])))

    def _own_files(self) -> Iterator[str]:
        if self.directory is None:
            return
        try:
            files = sorted(self.directory.iterdir())
        except OSError as error:
            problem = f"names a directory that cannot be read ({error.strerror})"
            raise ConfigurationError(VARIABLE, problem, "/etc/limen/mail") from None
        for file in files:
            if not file.name.startswith((".", "_")):  # hidden, or parts of other templates
                yield file.name

    def _check_name(self, name: str, messages: Collection[str]) -> None:
        known = [LAYOUT, *(f"{message}.{kind}" for message in messages for kind in ("txt", "html"))]
        if name in known:
            return
        close = get_close_matches(name, known, n=1)
        meant = f", perhaps {close[0]} is meant" if close else ""
        raise self._wrong(name, f"is no template of limen's{meant}; parts begin with '_'")

    def _check_code(self, message: str, rendered: Rendered, forms: Collection[str]) -> None:
        for kind, written in (("txt", rendered.text), ("html", rendered.html)):
            if not any(form in written for form in forms):
                raise self._wrong(f"{message}.{kind}", "shows neither its link nor its code")

    def _wrong(self, place: str, problem: str) -> ConfigurationError:
        return ConfigurationError(VARIABLE, f"{place} {problem}", "the templates in docs/mail.md")


def _place(message: str, error: Exception) -> str:
    """Return the file, and the line if the error knows one."""
    if isinstance(error, TemplateSyntaxError):
        return f"{error.name or message}, line {error.lineno}:"
    traceback, place = error.__traceback__, f"{message}.txt"
    while traceback is not None:  # Jinja lets the frames of templates look like their files
        file = Path(traceback.tb_frame.f_code.co_filename)
        if file.suffix in {".txt", ".html"}:
            place = f"{file.name}, line {traceback.tb_lineno}:"
        traceback = traceback.tb_next
    return place


def _problem(error: Exception) -> str:
    if isinstance(error, TemplateNotFound):
        return f"asks for {error.name}, which is not there"
    return str(error)

"""The whole life of an account, typed as docs/accounts.md writes it."""

from pathlib import Path

from tests.typed import ROOT, lines, serving, type_in

PAGE = ROOT / "docs" / "accounts.md"


def test_every_line_of_the_life_answers_as_written(tmp_path: Path) -> None:
    script = lines(PAGE.read_text("utf-8"))

    assert len(script) == 29
    with serving(tmp_path) as port:
        type_in(script, tmp_path, {"8000": port})

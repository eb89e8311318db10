"""What `limen serve` says when it answers."""

import json
import logging
from pathlib import Path

import pytest

from limen import Limen
from limen.cli.banner import Banner, announce
from limen.settings import Settings
from limen.telemetry.redaction import redact_member
from tests.conftest import on_postgresql, on_sqlite

pytestmark = pytest.mark.anyio

LOOPBACK = ("127.0.0.1", 8000)


@on_postgresql
async def test_on_postgresql_it_names_the_database(limen: Limen) -> None:
    data = Banner.of(limen, LOOPBACK).data
    assert data == limen.settings.database_url.replace("limen@", "")


@on_sqlite
async def test_it_names_the_places(limen: Limen, tmp_path: Path) -> None:
    lines = Banner.of(limen, LOOPBACK).lines()
    said = dict(
        line.split(maxsplit=1) for line in lines if line.startswith("  ") and "- " not in line
    )

    assert said["URL"] == "http://127.0.0.1:8000"
    assert said["Docs"] == "http://127.0.0.1:8000/docs"
    assert said["Data"] == str(tmp_path / "data")
    assert said["Secret"].startswith(str(tmp_path / "data" / "secret"))
    assert said["Issuer"] == "http://localhost:8000"
    assert said["Mail"] == "not sent: read it at http://127.0.0.1:8000/dev/inbox"


@pytest.mark.parametrize(
    ("address", "url"),
    [
        (LOOPBACK, "http://127.0.0.1:8000"),
        (("0.0.0.0", 81), "http://localhost:81"),  # noqa: S104  nothing listens
        (("::", 81, 0, 0), "http://localhost:81"),
        (("::1", 8000, 0, 0), "http://[::1]:8000"),
    ],
)
async def test_the_url_is_one_that_a_browser_takes(
    limen: Limen, address: tuple[str, int], url: str
) -> None:
    assert Banner.of(limen, address).url == url


async def test_what_is_for_development_only_is_said(limen: Limen) -> None:
    at_home = " ".join(Banner.of(limen, LOOPBACK).development_only)
    outside = " ".join(Banner.of(limen, ("192.0.2.1", 80)).development_only)

    assert "LIMEN_PUBLIC_URL is not set" in at_home
    assert "LIMEN_DOCS=off" in at_home
    assert "plain http" not in at_home
    assert "plain http" in outside


async def test_workers_are_told_where_there_are_several(limen: Limen) -> None:
    one = Banner.of(limen, LOOPBACK)
    told = json.loads(json.dumps(one.document()))
    four = Banner.of_workers(4, told)

    assert one.document()["workers"] == 1
    assert not any("Workers" in line for line in one.lines())
    assert four.document() == one.document() | {"workers": 4}
    assert "  Workers 4" in four.lines()


class TestInProduction:
    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        return Settings(
            data_dir=tmp_path / "data",
            signing_algorithm="ES256",
            public_url="https://login.example.com",
            docs=False,
            secret=("Zq3vJt8nKx0pRw5yBd7fGh2mLs9cTu4e",),
        )

    async def test_there_is_nothing_to_warn_of(self, limen: Limen) -> None:
        banner = Banner.of(limen, LOOPBACK)

        assert banner.development_only == ()
        assert (banner.docs, banner.root_key_at) == (None, "LIMEN_SECRET")
        assert banner.issuer == "https://login.example.com"
        assert banner.mail == "not sent: LIMEN_SMTP_URL names no mail server"
        assert "Zq3v" not in " ".join(banner.lines())


async def test_in_json_logs_it_is_one_line_of_which_nothing_is_redacted(
    limen: Limen, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    banner = Banner.of(limen, LOOPBACK)
    with caplog.at_level(logging.INFO, "limen.serve"):
        announce(banner, limen.settings, as_json=False)
    line = vars(caplog.records[-1])

    assert caplog.messages[-1] == "serving"
    assert line["development_only"] == " ".join(banner.development_only)
    assert all(redact_member(name, line[name]) == line[name] for name in banner.document())
    assert capsys.readouterr() == ("", "")

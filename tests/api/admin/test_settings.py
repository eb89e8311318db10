"""/settings: an administrator sees every option as it stands, and no secret."""

from pathlib import Path

import pytest

from limen.settings import Settings
from tests.api.admin.conftest import ask
from tests.conftest import on_sqlite
from tests.people import Person

pytestmark = pytest.mark.anyio

SECRET = "canary canary canary canary canary 7Qx"


@pytest.fixture
def settings(tmp_path: Path, database_url: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        database_url=database_url,
        signing_algorithm="ES256",
        secret=(SECRET,),
        smtp_url="smtp://limen:canary7Qx@127.0.0.1:9",
        mail_from="limen <no-reply@example.com>",
    )


@on_sqlite
async def test_every_option_is_shown_and_no_secret(settings: Settings, root: Person) -> None:
    answer = await ask(root, "GET /settings")
    shown = {one["variable"]: one for one in answer.json()["settings"]}

    assert {*shown} == {one.variable for one in settings.describe()}
    assert shown["LIMEN_SECRET"]["value"] == "hidden (1)"
    assert shown["LIMEN_LOGIN_LIMIT"]["source"] == "default"
    assert "canary" not in answer.text

"""GET /limen.js and /limen.d.ts: the client for browsers, as it lies in the package."""

import hashlib
from pathlib import Path

import httpx2
import pytest

import limen as package

pytestmark = pytest.mark.anyio

STATIC = Path(package.__file__).parent / "static"
SERVED = {"/limen.js": "text/javascript", "/limen.d.ts": "text/plain"}


@pytest.fixture
def database_url(migrated_sqlite_url: str) -> str:
    """A file of the package is no matter of the database."""
    return migrated_sqlite_url


@pytest.mark.parametrize("path", SERVED)
async def test_the_file_is_served_as_it_is(http: httpx2.AsyncClient, path: str) -> None:
    answer = await http.get(path)

    assert (answer.status_code, answer.content) == (200, (STATIC / path[1:]).read_bytes())
    assert answer.headers["Content-Type"] == f"{SERVED[path]}; charset=utf-8"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "public, max-age=300"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("path", SERVED)
@pytest.mark.parametrize("spelling", ["{}", "W/{}", '"another", {}'])
async def test_a_known_version_is_not_sent_again(
    http: httpx2.AsyncClient, path: str, spelling: str
) -> None:
    etag = (await http.get(path)).headers["ETag"]
    again = await http.get(path, headers={"If-None-Match": spelling.format(etag)})
    other = await http.get(path, headers={"If-None-Match": '"another"'})

    assert etag == f'"{hashlib.sha256((STATIC / path[1:]).read_bytes()).hexdigest()[:32]}"'
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    assert other.status_code == 200

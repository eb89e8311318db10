"""F4, CVE-2025-54121, CVE-2025-62727 and python-multipart's ReDoS: no multipart is ever parsed.

Sign-in takes JSON or a urlencoded form and reads both itself. A multipart body, with or without
files, is refused by its name before anybody looks for a boundary in it.
"""

import sys
import time

import httpx2
import pytest

from limen.limen import Limen
from tests.attacks.outside import watched
from tests.conftest import on_sqlite
from tests.people import AUTH
from tests.refusals import CANARY, problem
from tests.stored import row_counts

pytestmark = [pytest.mark.anyio, on_sqlite]  # requests are read alike on both

ROUTES = ["register", "login", "refresh", "logout"]
PART = f'--{CANARY}\r\nContent-Disposition: form-data; name="{CANARY}"'
BODIES = {
    "fields": f"{PART}\r\n\r\nada@example.com\r\n--{CANARY}--\r\n",
    "file": f'{PART}; filename="{CANARY}.exe"\r\nContent-Type: text/plain\r\n\r\n{CANARY}\r\n',
    "path in the file name": f'{PART}; filename="../../{CANARY}"\r\n\r\nx\r\n--{CANARY}--\r\n',
    "no end": PART,
    "only boundaries": f"--{CANARY}\r\n" * 700,
    "line ends": "\r\n" * 8000,
    "backslashes": f'{PART}; filename="' + "\\" * 15_000,
    "semicolons": PART + "; a=b" * 3000,
}
MEDIA_TYPES = {
    "boundary": f"multipart/form-data; boundary={CANARY}",
    "no boundary": "multipart/form-data",
    "mixed": f"multipart/mixed; boundary={CANARY}",
    "upper case": f"MULTIPART/FORM-DATA; boundary={CANARY}",
    "backslashes": 'multipart/form-data; boundary="' + "\\" * 5000,
    "form as a parameter": "multipart/form-data; application/x-www-form-urlencoded",
}


@pytest.mark.parametrize("media_type", MEDIA_TYPES.values(), ids=MEDIA_TYPES)
async def test_multipart_is_refused_unread(
    limen: Limen, http: httpx2.AsyncClient, media_type: str
) -> None:
    before = await row_counts(limen)
    for route in ROUTES:
        for body in BODIES.values():
            headers = {"Content-Type": media_type}
            began = time.perf_counter()
            answer = await http.post(f"{AUTH}/{route}", content=body, headers=headers)
            problem(answer.status_code, answer.headers, answer.content, expected={422})
            assert time.perf_counter() - began < 5
    assert await row_counts(limen) == before


async def test_an_upload_leaves_no_file(http: httpx2.AsyncClient) -> None:
    files = {"password": ("canary.txt", b"x" * 10_000)}
    await http.post(f"{AUTH}/login", files=files)
    with watched() as acts:
        answer = await http.post(f"{AUTH}/login", files=files)

    assert answer.status_code == 422
    assert [act for act in acts if act.startswith("open")] == []


@pytest.mark.parametrize("route", ROUTES)
async def test_an_upload_over_the_limit_is_too_large(http: httpx2.AsyncClient, route: str) -> None:
    files = {"file": ("canary.bin", b"x" * 100_000)}
    answer = await http.post(f"{AUTH}/{route}", files=files)

    problem(answer.status_code, answer.headers, answer.content, expected={413})


async def test_a_form_is_read_without_a_multipart_parser(
    http: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [
        name for name in sys.modules if name.startswith(("python_multipart", "multipart"))
    ]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "python_multipart", None)
    form = {"username": "ada@example.com", "password": "correct horse battery"}

    assert (await http.post(f"{AUTH}/login", data=form)).status_code == 401

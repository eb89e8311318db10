"""F6, CVE-2021-21241, CVE-2021-32618: no token is handed out on GET, and nobody is sent elsewhere.

An answer to GET may be read across origins by old browsers, cached, and prefetched; a redirect
whose target a client chooses is a phisher's tool. No route with GET knows a token, none but "/"
redirects, and that one always to the same path.
"""

import httpx2
import pytest

from tests.people import AUTH, PASSWORD, Person

pytestmark = pytest.mark.anyio

ELSEWHERE = ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
NAMES = ["next", "redirect", "redirect_uri", "return_to", "url", "continue", "callback", "format"]


async def paths(http: httpx2.AsyncClient) -> list[str]:
    document = (await http.get("/openapi.json")).json()
    found = [*document["paths"], "/", "/docs", "/openapi.json"]
    assert len(found) > 10
    return found


async def test_no_answer_to_get_holds_a_token(http: httpx2.AsyncClient, ada: Person) -> None:
    for path in await paths(http):
        query = {"username": ada.email, "password": PASSWORD, **ada.tokens}
        for method in ("GET", "HEAD"):
            answer = await http.request(method, path, params=query, headers=ada.bearer())
            shown = answer.text + str(answer.headers)
            for part in ada.tokens["access_token"].split("."):
                assert part not in shown.replace("/docs", "")
            assert '"access_token":"' not in shown
            assert "limen_device" not in shown


async def test_credentials_in_the_address_are_never_looked_at(
    http: httpx2.AsyncClient, ada: Person
) -> None:
    credentials = {"email": ada.email, "username": ada.email, "password": PASSWORD}
    assert (await http.get(f"{AUTH}/login", params=credentials)).status_code == 405
    assert (await http.post(f"{AUTH}/login", params=credentials)).status_code == 422
    assert (await http.post(f"{AUTH}/refresh", params=ada.tokens)).status_code == 422
    assert (await http.post(f"{AUTH}/logout", params=ada.tokens)).status_code == 422
    assert (await http.get(f"{AUTH}/me", params=ada.tokens)).status_code == 401
    cookie = "; ".join(f"{name}={value}" for name, value in ada.tokens.items())
    assert (await http.get(f"{AUTH}/me", headers={"Cookie": cookie})).status_code == 401
    assert (await ada.me()).status_code == 200


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
async def test_nobody_is_sent_elsewhere(http: httpx2.AsyncClient, elsewhere: str) -> None:
    headers = {"Host": "evil.example", "Referer": elsewhere, "X-Forwarded-Host": "evil.example"}
    for path in await paths(http):
        for method in ("GET", "POST"):
            query = dict.fromkeys(NAMES, elsewhere)
            answer = await http.request(method, path, params=query, headers=headers)
            assert answer.headers.get("location") in ((None,) if path != "/" else (None, "/docs"))
            assert "evil" not in answer.text


async def test_no_answer_of_the_login_may_be_cached(http: httpx2.AsyncClient, ada: Person) -> None:
    body = {"refresh_token": ada.tokens["refresh_token"]}
    answers = [
        await ada.sign_in(),
        await http.post(f"{AUTH}/refresh", json=body),
        await ada.me(),
        await http.get(f"{AUTH}/me"),
        await http.post(f"{AUTH}/login", json={}),
        await http.get(f"{AUTH}/login"),
        await ada.log_out(),
        await http.get("/healthz"),
        await http.get("/readyz"),
    ]

    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}

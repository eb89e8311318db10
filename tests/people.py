"""People who use limen over HTTP, in the words of the tests."""

from dataclasses import dataclass, field
from typing import Any

import httpx2

from limen import app as standalone
from limen.limen import Limen

AUTH = "/api/v1/auth"
PASSWORD = "correct horse battery staple"


@dataclass
class Person:
    """Somebody with an account, at a client of his own; `tokens` is the last pair he was given."""

    http: httpx2.AsyncClient
    email: str
    user_id: str
    password: str = PASSWORD
    tokens: dict[str, Any] = field(default_factory=dict)

    async def sign_in(self, **headers: str) -> httpx2.Response:
        body = {"email": self.email, "password": self.password}
        return self._remember(await self.http.post(f"{AUTH}/login", json=body, headers=headers))

    async def refresh(self, token: str | None = None, key: str | None = None) -> httpx2.Response:
        body = {"refresh_token": token or self.tokens["refresh_token"]}
        headers = {"Idempotency-Key": key} if key else {}
        return self._remember(await self.http.post(f"{AUTH}/refresh", json=body, headers=headers))

    async def me(self, access_token: str | None = None) -> httpx2.Response:
        return await self.http.get(f"{AUTH}/me", headers=self.bearer(access_token))

    async def log_out(self) -> httpx2.Response:
        return await self.http.post(f"{AUTH}/logout", headers=self.bearer())

    async def sid(self) -> str:
        """The sid of the session that he was last given; its access token must be good."""
        return str((await self.me()).json()["sid"])

    async def change_password(self, new: str, current: str | None = None) -> httpx2.Response:
        body = {
            "current_password": self.password if current is None else current,
            "new_password": new,
        }
        headers = self.bearer()
        return await self.http.post(f"{AUTH}/password/change", json=body, headers=headers)

    async def delete_me(self, password: str | None = None) -> httpx2.Response:
        body = {"current_password": self.password if password is None else password}
        return await self.http.request("DELETE", f"{AUTH}/me", json=body, headers=self.bearer())

    def bearer(self, access_token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {access_token or self.tokens['access_token']}"}

    def _remember(self, response: httpx2.Response) -> httpx2.Response:
        if response.status_code == 200:
            self.tokens = response.json()
        return response


async def attempt(
    http: httpx2.AsyncClient, email: str, password: str = PASSWORD, **headers: str
) -> httpx2.Response:
    """Try to sign in."""
    body = {"email": email, "password": password}
    return await http.post(f"{AUTH}/login", json=body, headers=headers)


async def guess(http: httpx2.AsyncClient, email: str, **headers: str) -> httpx2.Response:
    """Try to sign in with a wrong password."""
    return await attempt(http, email, "not the password", **headers)


async def has_failed(limen: Limen, user_id: str, times: int) -> None:
    """Let so many wrong passwords in a row have been tried at an account."""
    await limen.features.accounts.change(user_id, "enabled", failures=times)


async def forgot(http: httpx2.AsyncClient, email: str) -> httpx2.Response:
    """Ask for a code to choose another password."""
    return await http.post(f"{AUTH}/password/forgot", json={"email": email})


async def reset(
    http: httpx2.AsyncClient, code: str, password: str, email: str | None = None
) -> httpx2.Response:
    """Choose another password with a code; with six digits, the address belongs to it."""
    body = {"code": code, "password": password} | ({} if email is None else {"email": email})
    return await http.post(f"{AUTH}/password/reset", json=body)


def calling_from(limen: Limen, address: str) -> httpx2.AsyncClient:
    """Return a client without cookies that calls the standalone application from this address."""
    transport = httpx2.ASGITransport(standalone.build(limen), client=(address, 4711))
    return httpx2.AsyncClient(transport=transport, base_url="http://limen.test")


async def somebody(
    limen: Limen, http: httpx2.AsyncClient, email: str = "ada@example.com", scope: str = ""
) -> Person:
    """Give somebody an account and sign him in."""
    account = await limen.features.accounts.create(email, PASSWORD, scope=scope)
    person = Person(http, email, account.user_id)
    assert (await person.sign_in()).status_code == 200
    return person

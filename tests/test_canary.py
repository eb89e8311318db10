"""One whole life with a canary in every secret, and then a search for the canaries.

Register, sign in, fail, refresh, replay, sign out, reach a limit, send rubbish, run into a mistake
of ours and into a database that has gone; with the logs at debug level. What a client sent or was
given may stand in the answers that hand it out, and nowhere else: not in logs, metrics, problems
or exceptions, and neither password nor token in the data directory.
"""

import json
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_network
from itertools import count

import httpx2
import pytest

from limen import app as standalone
from limen.events import Event, Refreshed
from limen.limen import Limen
from limen.settings import Limit, Settings
from limen.telemetry.logs import LogFormat
from limen.tokens import TokenPair
from limen.verify.gate import split
from tests.clock import ManualClock
from tests.conftest import CHEAPEST
from tests.people import AUTH
from tests.services import Service, a_service
from tests.stored import everything, moved_away
from tests.telemetry.conftest import Logging, any_format, logging_to  # noqa: F401  fixtures

pytestmark = pytest.mark.anyio

EMAIL = "kanarie.ada@nest-of-ada.example.com"
OTHER_EMAIL = "kanarie.bob@nest-of-bob.example.com"
PASSWORD = "kanarie Xk4 sings at dawn"
WRONG = "kanarie Vw9 is silent"
KEY = "kanarieIdempotencyKey0123456789"
DEVICE = "kanariedevice.AAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBB"
ADDRESS = "198.51.100.77"
FORWARDED = "203.0.113.99"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
RUBBISH = [
    (f'{{"email":"{EMAIL}","pasword":"{PASSWORD}"}}', JSON),
    (f'{{"email":"{EMAIL}","password":["{PASSWORD}"]}}', JSON),
    (f'{{"email":"{EMAIL}","password":"{PASSWORD}"', JSON),
    (f'{{"{PASSWORD}":1,"{EMAIL}":1}}', JSON),
    (f"username={EMAIL}&passwort={PASSWORD}", FORM),
    (f"{EMAIL}&{PASSWORD}", FORM),
    (PASSWORD, EMAIL),
    (PASSWORD * 1000, "text/plain"),
]


class Life:
    """A client that keeps what must not be seen elsewhere, and the texts to look for it in."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self.tokens: list[str] = []
        self.devices: list[str] = []
        self.refusals: list[str] = []

    async def post(self, what: str, body: dict[str, str] | None, **headers: str) -> int:
        answer = await self.http.post(f"{AUTH}/{what}", json=body, headers=headers)
        return self.keep(answer)

    async def ask_about(self, service: Service, token: str, secret: str | None = None) -> int:
        """Introspect a token; the answer may say what the token says."""
        form = {"token": token}
        headers = service.basic(secret=secret)
        answer = await self.http.post(f"{AUTH}/introspect", data=form, headers=headers)
        if answer.status_code >= 400:
            self.refusals.append(answer.text)
        return answer.status_code

    def keep(self, answer: httpx2.Response) -> int:
        shown = dict(answer.headers)
        if device := shown.pop("limen-device", None):
            self.devices.append(device)
            shown.pop("set-cookie")
        if answer.status_code >= 400:
            self.refusals.append(answer.text)
        elif "access_token" in answer.text:
            self.tokens += [answer.json()["access_token"], answer.json()["refresh_token"]]
        self.refusals.append(json.dumps(shown))
        return answer.status_code


def broken(event: Event) -> None:
    if isinstance(event, Refreshed) and event.outcome == "same_successor":
        raise RuntimeError(f"{event}: password={PASSWORD}, for {EMAIL}")


def failing_once(issue: Callable[..., TokenPair]) -> Callable[..., TokenPair]:
    """Fail at the third call, with secrets in the exception's text."""
    calls = count(1)

    def issuing(*values: object) -> TokenPair:
        if next(calls) == 3:
            raise RuntimeError(f"{values}: password={PASSWORD}, for {EMAIL}")
        return issue(*values)

    return issuing


async def live(life: Life, limen: Limen, service: Service) -> list[int]:
    """Do everything that a client can; return the statuses."""
    ada = {"email": EMAIL, "password": PASSWORD}
    seen = [await life.post("register", ada), await life.post("register", ada)]
    seen.append(await life.post("register", {"email": OTHER_EMAIL, "password": "kanarie.bob"}))
    seen.append(await life.post("login", ada, **{"Limen-Device": DEVICE}))
    first = life.tokens[1]
    bearer = {"Authorization": f"Bearer {life.tokens[0]}"}
    seen += [
        life.keep(await life.http.get(f"{AUTH}/me?token={life.tokens[0]}", headers=bearer)),
        life.keep(await life.http.get(f"/{life.tokens[0]}/{EMAIL}", headers=bearer)),
        life.keep(await life.http.get(f"{AUTH}/me", headers={"Authorization": f"Bearer {first}"})),
    ]
    used, keys = {"refresh_token": first}, (KEY, KEY, KEY * 9)
    seen += [await life.post("refresh", used, **{"Idempotency-Key": key}) for key in keys]
    seen += [await life.ask_about(service, token) for token in (life.tokens[0], first, WRONG)]
    seen.append(await life.ask_about(service, first, secret=KEY))
    seen.append(await life.post("refresh", used))
    seen += [
        life.keep(await life.http.get(f"{AUTH}/me", headers=bearer)),
        await life.post("logout", used),
        await life.post("login", ada),
        await life.post("logout", None, Authorization=f"Bearer {life.tokens[-2]}"),
    ]
    life.http.cookies.clear()
    for body, media_type in RUBBISH:
        headers = {"Content-Type": media_type}
        answer = await life.http.post(f"{AUTH}/login", content=body, headers=headers)
        seen.append(life.keep(answer))
    seen += [await life.post("login", {"email": EMAIL, "password": WRONG}) for _ in range(6)]
    with moved_away(limen):
        seen += [await life.post("login", {"email": OTHER_EMAIL, "password": WRONG})]
        seen += [await life.post("register", {"email": OTHER_EMAIL, "password": WRONG})]
    return seen


EXPECTED = [
    *(201, 409, 422),  # registered, taken, a password made of the address
    200,
    *(200, 404, 401),
    *(200, 500, 422),  # rotated; the same again, where issuing fails; odd key
    *(200, 200, 200, 401),  # introspected, at last with a wrong secret
    401,  # replayed
    *(401, 204, 200, 204),
    *([422] * 7 + [413]),
    *([401] * 5 + [429]),
    *(503, 503),
]  # fmt: skip


async def test_no_canary_is_seen_again(
    settings: Settings,
    clock: ManualClock,
    logging_to: Logging,  # noqa: F811  the fixture
    any_format: LogFormat,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = logging_to(any_format, "debug")
    settings = replace(
        settings,
        login_limit=Limit(5, 900),
        trusted_proxies=(ip_network("198.51.100.0/24"),),
    )
    limen = Limen(settings, clock=clock, cost=CHEAPEST, subscribers=[broken])
    async with limen.lifespan():
        monkeypatch.setattr(
            limen.features.tokens, "issue", failing_once(limen.features.tokens.issue)
        )
        app = standalone.build(limen)
        transport = httpx2.ASGITransport(app, client=(ADDRESS, 4711), raise_app_exceptions=False)
        headers = {"X-Forwarded-For": FORWARDED, "X-Request-ID": EMAIL, "User-Agent": PASSWORD}
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://limen.test", headers=headers
        ) as http:
            life = Life(http)
            service = await a_service(limen, http)
            assert await live(life, limen, service) == EXPECTED
            metrics = (await http.get("/metrics")).text
        stored = await everything(limen)

    logs = output.text()
    assert logs.count("sign-in") >= 7
    assert "request failed" in logs
    assert "a subscriber failed" in logs
    assert "RuntimeError" in logs
    fids = [json.loads(split(token)[1]).get("fid") for token in life.tokens]
    secrets = {
        *(EMAIL, OTHER_EMAIL, PASSWORD, WRONG, KEY, DEVICE, ADDRESS, FORWARDED),
        *("kanarie", "nest-of-ada", "sings at dawn"),
        *(service.secret, service.basic()["Authorization"].split()[1]),
        *life.tokens,
        *(part for token in life.tokens for part in token.split(".")[1:]),
        *life.devices,
        *filter(None, fids),
    }
    assert len(life.tokens) == 6
    assert len(life.devices) == 1
    searched = {"logs": logs, "metrics": metrics, "answers": "\n".join(life.refusals)}
    for place, text in searched.items():
        found = {secret for secret in secrets if secret.lower() in text.lower()}
        assert found == set(), f"{len(found)} canaries in the {place}"

    stored += b"".join(path.read_bytes() for path in settings.data_dir.iterdir() if path.is_file())
    assert EMAIL.encode() in stored  # an account is found by it: the search works
    # The owner's address, and where he signed in from; of what his client calls itself, one word.
    kept = {EMAIL, "nest-of-ada", "kanarie", FORWARDED}
    for secret in secrets - kept:
        assert secret.encode() not in stored, "a secret in the data directory"


async def test_no_exception_repeats_what_was_given(limen: Limen) -> None:
    features = limen.features
    await features.accounts.create(EMAIL, PASSWORD)
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: features.accounts.create(EMAIL, PASSWORD),
        lambda: features.accounts.create(f"{EMAIL}@", PASSWORD),
        lambda: features.accounts.create(OTHER_EMAIL, "kanarie.bob"),
        lambda: features.accounts.create_with_hash(OTHER_EMAIL, f"$1${PASSWORD}"),
        lambda: features.accounts.get(EMAIL),
        lambda: features.accounts.set_password("nobody", PASSWORD),
        lambda: features.refresh.rotate(f"{PASSWORD}.b.c", KEY),
        lambda: limen.verifier.verify(f"{KEY}.{KEY}.{KEY}"),
    ]
    for attempt in attempts:
        with pytest.raises(Exception) as caught:  # noqa: PT011  each is another, and all are meant
            await attempt()
        text = "".join(traceback.format_exception(caught.value, chain=True))
        told = text + repr(caught.value) + str(vars(caught.value))
        shown = "\n".join(line for line in told.splitlines() if not line.startswith("    "))
        for secret in (EMAIL, OTHER_EMAIL, PASSWORD, KEY):
            assert secret not in shown, type(caught.value)

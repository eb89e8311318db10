"""The OpenAPI document tells the truth: schemathesis makes requests from it and judges answers."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx2
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from limen import app as standalone
from limen.api.admin import PREFIX as ADMIN
from limen.limen import Limen
from limen.settings import Limit, Settings
from tests.conftest import CHEAPEST
from tests.loopback import serving
from tests.people import AUTH, PASSWORD
from tests.refusals import problem

SEED = random.randrange(2**32)
EXAMPLES = 8  # of each operation, good and bad
PROBLEM = "application/problem+json"
SERVICE: list[tuple[str, str]] = []  # the credentials of one

load_all_checks()
CONFIG = schemathesis.config.SchemathesisConfig.from_dict(
    {
        "checks": {
            "negative_data_rejection": {
                "expected-statuses": [400, 401, 403, 405, 409, 413, 422, 429]
            }
        },
        "output": {"sanitization": {"enabled": False}},
    }
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("openapi") / "data",
        signing_algorithm="ES256",
        login_limit=Limit(100, 900),
        login_address_limit=Limit(1000, 900),
        register_address_limit=Limit(1000, 900),
    )
    SERVICE.append(asyncio.run(_credentials(settings)))
    limen = Limen(settings, cost=CHEAPEST)
    with serving(standalone.build(limen)) as port:
        limen.features.feed.close()  # a long poll that waits is a long test
        yield f"http://127.0.0.1:{port}"


async def _credentials(settings: Settings) -> tuple[str, str]:
    limen = Limen(settings, cost=CHEAPEST)
    async with limen.lifespan():
        made = await limen.features.credentials.create("orders")
        await limen.features.accounts.create("root@example.com", PASSWORD, scope="admin")
    return made.client.client_id, made.secret


@pytest.fixture(scope="module")
def document(url: str) -> dict[str, Any]:
    found: dict[str, Any] = httpx2.get(f"{url}/openapi.json", trust_env=False).json()
    return found


@pytest.fixture(scope="module")
def session(url: str) -> Iterator[requests.Session]:
    """Somebody who is signed in: guarded routes are worth nothing to strangers."""
    with requests.Session() as session:
        session.trust_env = False
        body = {"email": "ada@example.com", "password": PASSWORD}
        assert session.post(f"{url}{AUTH}/register", json=body).status_code == 201
        tokens = session.post(f"{url}{AUTH}/login", json=body).json()
        session.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        yield session


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_as_the_document_says(
    url: str, document: dict[str, Any], session: requests.Session, mode: GenerationMode
) -> None:
    print(f"seed {SEED}")
    schema = schemathesis.openapi.from_dict(document, config=CONFIG)
    asks = mode == GenerationMode.POSITIVE  # without credentials, or with a person's, is negative

    @seed(SEED)
    @hypothesis_settings(
        max_examples=EXAMPLES * len(document["paths"]),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=schema.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        case.call_and_validate(
            base_url=url,
            session=session,
            auth=SERVICE[-1] if asks and case.path == f"{AUTH}/introspect" else None,
            # The policy for passwords and addresses is more than a schema can say.
            excluded_checks=[positive_data_acceptance],
        )

    run()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_to_an_administrator_is_as_the_document_says(
    url: str, document: dict[str, Any], mode: GenerationMode
) -> None:
    print(f"seed {SEED}")
    schema = schemathesis.openapi.from_dict(document, config=CONFIG)
    # An emergency would void the token; who is asked about is nearly always nobody.
    calls = schema.include(path_regex=f"^{ADMIN}/").exclude(path_regex="rotate$")
    body = {"email": "root@example.com", "password": PASSWORD}
    with requests.Session() as session:
        session.trust_env = False
        tokens = session.post(f"{url}{AUTH}/login", json=body).json()
        session.headers["Authorization"] = f"Bearer {tokens['access_token']}"

        @seed(SEED)
        @hypothesis_settings(
            max_examples=3 * len(document["paths"]),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=calls.as_strategy(generation_mode=mode))
        def run(case: Any) -> None:
            case.call_and_validate(
                base_url=url, session=session, excluded_checks=[positive_data_acceptance]
            )

        run()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_refusal_is_documented_as_a_problem(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        refusals = {
            int(status): answer
            for status, answer in operation["responses"].items()
            if int(status) >= 400
        }
        assert {408, 413} <= refusals.keys(), name
        for answer in refusals.values():
            (media_type,) = answer["content"]
            assert media_type == PROBLEM
            required = answer["content"][PROBLEM]["schema"]["required"]
            assert required == ["type", "title", "status", "detail", "code"]


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("401", {"WWW-Authenticate"}),
        ("429", {"Retry-After", "RateLimit", "RateLimit-Policy"}),
        ("503", {"Retry-After"}),
    ],
)
def test_the_headers_of_refusals_are_documented(
    document: dict[str, Any], status: str, headers: set[str]
) -> None:
    documented = [
        set(operation["responses"][status]["headers"])
        for _, operation in operations(document)
        if status in operation["responses"]
    ]
    assert documented
    assert all(found == headers for found in documented)


def test_sign_in_is_documented_with_both_of_its_bodies(document: dict[str, Any]) -> None:
    login = document["paths"][f"{AUTH}/login"]["post"]
    bodies = {
        media_type: set(body["schema"]["required"])
        for media_type, body in login["requestBody"]["content"].items()
    }

    assert bodies == {
        "application/json": {"email", "password"},
        "application/x-www-form-urlencoded": {"username", "password"},
    }
    assert "Limen-Device" in login["responses"]["200"]["headers"]


def test_who_needs_a_token_and_who_may_do_without_is_documented(document: dict[str, Any]) -> None:
    needed = {
        name: [[*one] for one in operation["security"]]
        for name, operation in operations(document)
        if "security" in operation
    }

    assert (
        needed.items()
        >= {
            f"GET {AUTH}/me": [["limen"]],
            f"POST {AUTH}/email/change": [["limen"]],
            f"POST {AUTH}/email/verify": [["limen"], []],
            f"POST {AUTH}/email/verify/confirm": [["limen"], []],
            f"POST {AUTH}/email/change/confirm": [["limen"], []],
            f"POST {AUTH}/introspect": [["client"]],
        }.items()
    )
    open_to_all = {name for name, _ in operations(document)} - needed.keys()
    assert {f"POST {AUTH}/{name}" for name in ("register", "login", "refresh")} <= open_to_all
    assert document["components"]["securitySchemes"]["client"]["scheme"] == "basic"


def test_the_authorize_button_signs_in(url: str, document: dict[str, Any]) -> None:
    """What Swagger UI does: it resolves tokenUrl, sends the form, and reads two members."""
    scheme = document["components"]["securitySchemes"]["limen"]
    token_url = urljoin(f"{url}/docs", scheme["flows"]["password"]["tokenUrl"])
    assert token_url == urljoin(f"{url}/openapi.json", f"{AUTH}/login")

    with httpx2.Client(base_url=url, trust_env=False) as http:
        person = {"email": "grace@example.com", "password": PASSWORD}
        assert http.post(f"{AUTH}/register", json=person).status_code == 201
        grant = {
            "grant_type": "password",
            "username": person["email"],
            "password": PASSWORD,
            "scope": "",
        }
        headers = {
            "Accept": "application/json, text/plain, */*",
            "X-Requested-With": "XMLHttpRequest",
            "Origin": url,
        }
        answer = http.post(token_url, data=grant, headers=headers)
        tokens = answer.json()
        assert tokens["token_type"].lower() == "bearer"
        bearer = {"Authorization": f"{tokens['token_type']} {tokens['access_token']}"}
        me = http.get(f"{AUTH}/me", headers=bearer)
        assert me.json()["email"] == person["email"]


def test_a_wrong_password_in_the_form_is_a_problem(url: str) -> None:
    form = {"username": "nobody@example.com", "password": PASSWORD}
    answer = httpx2.post(f"{url}{AUTH}/login", data=form, trust_env=False)

    found = problem(answer.status_code, answer.headers, answer.content, expected={401})
    assert found["code"] == "invalid_credentials"
    assert answer.headers["www-authenticate"] == "Bearer"

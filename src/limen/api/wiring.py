"""What the routes are given: the open features and the guard.

Routes are declared before anything is open, when an application is put together; the features
behind them are there once it has started.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import Request

from limen.api.bodies import ProblemReply
from limen.api.callers import DEVICE_HEADER, holder_of, origin_of
from limen.clients import ClientAddresses
from limen.features import Features
from limen.memory import Memory
from limen.origin import Origin
from limen.settings import Settings, Shown
from limen.verify.claims import Claims
from limen.verify.fastapi import CurrentUser
from limen.verify.problems import MEDIA_TYPE

# An open route, which an access token may come along to: for the OpenAPI document.
HOLDER_OR_NOBODY: dict[str, Any] = {"security": [{"limen": []}, {}]}

_PROBLEM = {"schema": ProblemReply.model_json_schema()}

_HEADERS = {
    401: {"WWW-Authenticate": "The scheme, and what is wrong with the token (RFC 6750)"},
    429: {
        "Retry-After": "Seconds to wait, never 0",
        "RateLimit": "The limit that was reached, what is left of it, and seconds to wait",
        "RateLimit-Policy": "The limit's quota and its window in seconds",
    },
    503: {"Retry-After": "Seconds to wait, never 0"},
}


class Wiring:
    """The connections of one limen's routes."""

    def __init__(
        self,
        settings: Settings,
        memory: Memory,
        current_user: CurrentUser,
        features: Callable[[], Features],
    ) -> None:
        self.memory = memory
        self.current_user = current_user
        self.holder: Callable[[Request], Awaitable[Claims | None]] = holder_of(current_user)
        self.issuer = settings.public_url
        self.shown_settings: Callable[[], list[Shown]] = settings.describe
        self.is_https = settings.public_url.startswith("https://")
        self.keeps_mail = settings.mail_goes == "into the inbox"
        self.origin_of: Callable[[Request], Origin] = origin_of(
            ClientAddresses(settings.trusted_proxies)
        )
        self._features = features

    @property
    def features(self) -> Features:
        """The open features.

        Raises:
            RuntimeError: The application has not started limen.
        """
        return self._features()


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the problem answers of a route, for the OpenAPI document: these, and everybody's."""
    everybodys = (408, 413)
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: _PROBLEM},
            "headers": documented(_HEADERS.get(status, {})),
        }
        for status in sorted({*statuses, *everybodys})
    }


def documented(headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the headers of an answer, each with its meaning, for the OpenAPI document."""
    return {
        name: {"description": meaning, "schema": {"type": "string"}}
        for name, meaning in headers.items()
    }


NEW_DEVICE = documented(
    {
        DEVICE_HEADER: "A new name for this device: send it along at the next sign-in",
        "Set-Cookie": "The same, for browsers",
    }
)

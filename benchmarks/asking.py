"""The requests that workloads ask with, each with what a right answer to it holds."""

from collections.abc import Sequence

from benchmarks.load import Asking
from benchmarks.population import PASSWORD
from benchmarks.processes import ISSUER

AUTH = "/api/v1/auth"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ORIGIN = {"Origin": ISSUER}
BEARER = {"Authorization": "Bearer {item}"}

# Each request from another address, through a proxy that is trusted: clients, not one office.
ELSEWHERE = {"X-Forwarded-For": "10.{number}"}
TRUSTING = {"LIMEN_TRUSTED_PROXIES": "127.0.0.1"}
PATIENT = {"LIMEN_HASH_QUEUE_TIME": "60s"}  # where nobody is to be refused
RS256 = {"LIMEN_SIGNING_ALGORITHM": "RS256"}
ES256 = {"LIMEN_SIGNING_ALGORITHM": "ES256"}


def on_database(url: str | None) -> dict[str, str]:
    """Return the setting for this database; None stands for SQLite in the data directory."""
    return {} if url is None else {"LIMEN_DATABASE_URL": url}


def sign_in(emails: Sequence[str], connections: int) -> Asking:
    """Sign in at limen, each time somebody else."""
    body = f'{{"email":"{{item}}","password":"{PASSWORD}"}}'
    return Asking(
        "POST", f"{AUTH}/login", JSON | ELSEWHERE, body, emails, "each", connections,
        text='"refresh_token"',
    )  # fmt: skip


def sign_in_by_form(path: str, emails: Sequence[str], connections: int) -> Asking:
    """Sign in at a peer that takes the form of an OAuth 2.0 password grant."""
    body = f"grant_type=password&username={{item}}&password={PASSWORD.replace(' ', '+')}"
    return Asking("POST", path, FORM, body, emails, "each", connections, text='"access_token"')


def sign_in_by_json(path: str, emails: Sequence[str], connections: int) -> Asking:
    """Sign in at a peer that takes JSON with a username."""
    body = f'{{"username":"{{item}}","password":"{PASSWORD}"}}'
    return Asking("POST", path, JSON, body, emails, "each", connections, text='"access"')


def sign_in_by_page(path: str, emails: Sequence[str], connections: int) -> Asking:
    """Sign in at a peer as a page of its own site does: JSON, from that site's origin."""
    body = f'{{"email":"{{item}}","password":"{PASSWORD}"}}'
    return Asking("POST", path, JSON | ORIGIN, body, emails, "each", connections, text='"token"')


def refresh(tokens: Sequence[str], connections: int) -> Asking:
    """Refresh at limen, each connection a session of its own, with the token of the last answer."""
    return Asking(
        "POST", f"{AUTH}/refresh", JSON, '{"refresh_token":"{item}"}', tokens, "chain", connections,
        text='"refresh_token"',
    )  # fmt: skip


def refresh_each(tokens: Sequence[str], connections: int) -> Asking:
    """Refresh at limen, each time another session, once."""
    return Asking(
        "POST", f"{AUTH}/refresh", JSON, '{"refresh_token":"{item}"}', tokens, "each", connections,
        text='"refresh_token"',
    )  # fmt: skip


def guarded(
    path: str,
    tokens: Sequence[str],
    *,
    sent: dict[str, str] = BEARER,
    connections: int = 16,
    status: int = 200,
    text: str = "",
) -> Asking:
    """Ask for a guarded path, with a few good tokens in turn, or with bad ones."""
    return Asking("GET", path, sent, None, tokens, "each", connections, status, text)

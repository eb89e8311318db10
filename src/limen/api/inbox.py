"""GET /dev/inbox: the mail that was not sent, for whoever develops on this machine.

It holds codes that open accounts. So the routes are there only where no mail server is set and
limen's own address is plain http on loopback, and they answer only who sits at the machine:

    the connection    comes from loopback
    its headers       name no proxy, which would have brought somebody from elsewhere
    the Host header   is a name of this machine: a web page whose name was pointed at 127.0.0.1
                      (DNS rebinding) has another one

Everybody else is told what he is told of any path that does not exist. Browsers get pages, others
JSON. Whatever was asked for before is there: deliveries that are under way are waited for.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from limen.api.wiring import Wiring
from limen.clock import SECOND
from limen.features import Features
from limen.inbox import Kept
from limen.loopback import is_loopback

PROXIES: Final = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
HEADERS: Final = {
    # The mail is shown in a frame that runs nothing; its own styles are allowed to it.
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "data" / "inbox"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def add_to(router: APIRouter, limen: Wiring) -> None:
    @router.get("/dev/inbox", include_in_schema=False)
    async def inbox(request: Request) -> Response:
        """The newest mail, the newest first."""
        _require_home(request)
        await _catch_up(limen.features)
        letters = [_document(kept) for kept in await limen.features.inbox.newest()]
        if _wants_json(request):
            return JSONResponse(letters, headers=HEADERS)
        return _page("list.html", letters=letters)

    @router.get("/dev/inbox/{letter}", include_in_schema=False)
    async def inbox_letter(request: Request, letter: str) -> Response:
        """One mail."""
        _require_home(request)
        kept = await limen.features.inbox.find(letter)
        if kept is None:
            raise HTTPException(404)
        if _wants_json(request):
            return JSONResponse(_document(kept), headers=HEADERS)
        return _page("letter.html", letter=_document(kept), html=kept.written.html)


def _require_home(request: Request) -> None:
    hosts: Sequence[str] = request.headers.getlist("host")
    is_home = (
        request.client is not None
        and is_loopback(request.client.host)
        and not any(name in request.headers for name in PROXIES)
        and len(hosts) == 1
        and is_loopback(_without_port(hosts[0]))
    )
    if not is_home:
        raise HTTPException(404)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()


async def _catch_up(features: Features) -> None:
    await features.outbox.caught_up("request")  # which may put mail in
    await features.outbox.caught_up("mail")


def _wants_json(request: Request) -> bool:
    if request.query_params.get("format") == "json":
        return True
    return "text/html" not in request.headers.get("accept", "")


def _page(name: str, **words: object) -> Response:
    return HTMLResponse(_pages.get_template(name).render(words), headers=HEADERS)


def _document(kept: Kept) -> dict[str, Any]:
    sent = datetime.fromtimestamp(kept.sent_at // SECOND, UTC)
    return {
        "id": kept.id,
        "message": kept.message,
        "to": kept.written.to,
        "subject": kept.written.subject,
        "text": kept.written.text,
        "link": kept.written.link,
        "code": kept.written.code,
        "sent": sent.isoformat().replace("+00:00", "Z"),
    }

"""GET /account: the page that the links in mails open.

It is a file, the same for everybody: which link was opened stands in the fragment, which browsers
do not send. So opening a link uses nothing up, and its token is in no log. The page reads it, and
sends it to the routes beside it when somebody presses the button (`static/account.js`).

It loads its own two files and nothing else, cannot be framed, and tells no other page where its
reader comes from.
"""

from fastapi import APIRouter, Request, Response

from limen.api.files import File
from limen.api.wiring import Wiring

# The image is an empty icon. A form that goes nowhere: without the script, no password is sent.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)


def add_to(router: APIRouter, _limen: Wiring) -> None:
    page = File.of(
        "account.html",
        "text/html",
        Cache_Control="no-store",  # browsers would keep what was typed into it, too
        Content_Security_Policy=POLICY,
        Cross_Origin_Opener_Policy="same-origin",
        Referrer_Policy="no-referrer",
        X_Frame_Options="DENY",
    )
    its_script = File.of("account.js", "text/javascript")
    its_style = File.of("account.css", "text/css")

    @router.get("/account", response_class=Response, responses=page.answers())
    async def account(request: Request) -> Response:
        """The page that the links in mails open."""
        return page.response(request)

    @router.get("/account.js", response_class=Response, responses=its_script.answers())
    async def account_script(request: Request) -> Response:
        """What it does."""
        return its_script.response(request)

    @router.get("/account.css", response_class=Response, responses=its_style.answers())
    async def account_style(request: Request) -> Response:
        """How it looks."""
        return its_style.response(request)

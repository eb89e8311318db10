"""`limen probe`: does a service refuse what it must refuse?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from limen.cli.asking import ask
from limen.cli.commands import FAILED, Command, Failed
from limen.cli.output import show

if TYPE_CHECKING:
    from limen.verify.hostile import Signer

# Nothing, or not all, can be concluded. Neither "failed" nor "wrongly called": a script must not
# take it for either, and least of all for "nothing found".
INCONCLUSIVE = 3

_MAX_BYTES = 256 * 1024  # of a file or a key set

_FILE = click.Path(allow_dash=True, path_type=Path)


@click.command(
    "probe",
    cls=Command,
    examples=[
        "limen probe https://api.example.com/me",
        "limen probe https://api.example.com/me --token-file token --ended-token-file old-token",
        "limen probe http://localhost:8000/me --json < token | jq .findings",
    ],
)
@click.argument("url")
@click.option("--token-file", type=_FILE, help="A valid access token; '-' or none: asked for.")
@click.option("--ended-token-file", type=_FILE, help="A token whose session was ended.")
@click.option("--expired-token-file", type=_FILE, help="A token that has expired.")
@click.option("--key-file", type=_FILE, help="The private JWK of your own test issuer.")
@click.option("--issuer", metavar="URL", help="Whose key set to use; else the token's iss.")
@click.option("--jwks-file", type=_FILE, help="The issuer's key set; then nobody is asked for it.")
@click.option("--method", default="GET", show_default=True, help="Choose one that changes nothing.")
@click.option("--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Sent each time.")
@click.option("--timeout", type=click.FloatRange(0.1, 60), default=10, show_default=True)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 1000),
    default=10,
    show_default=True,
    help="Requests a second, at most.",
)
def probe(url: str, as_json: bool, **options: Any) -> None:
    """Send hostile tokens to a protected address of your own, and say which were let in.

    The service may be written in any language: it is tried from outside, with a valid token of
    yours, which is asked for, read from standard input, or from a file. Some 120 requests are sent
    to this address and to no other, one after another; the issuer's key set is read once. Try only
    what is yours.

    Exit codes: 0 nothing was found, 1 something was, 3 nothing, or not all, can be concluded.
    """
    from limen.cli.probe_report import document, lines  # noqa: PLC0415  loads what is heavy
    from limen.probe.run import probe as run  # noqa: PLC0415

    try:
        target, token, catalogue, key_set = _prepared(url, options)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    sent, rate = len(catalogue.hostile) + 3, options["rate"]
    plan = f"{sent} requests to {target.shown} and nowhere else, {rate:g} a second at most."
    again = "What is answered 429 or 503 is sent once more, after a pause."
    show(None, [plan, again, key_set], as_json=False, err=True)
    report = run(target, token, catalogue, rate=rate)
    show(
        document(target, report, catalogue.untried),
        lines(report, catalogue.untried),
        as_json=as_json,
    )
    if any(result.is_finding for result in report.results):
        raise SystemExit(FAILED)
    if report.doubt:
        raise SystemExit(INCONCLUSIVE)


def _prepared(url: str, options: dict[str, Any]) -> tuple[Any, str, Any, str]:
    from limen.probe.sending import Target  # noqa: PLC0415
    from limen.verify.hostile import catalogue  # noqa: PLC0415

    headers = tuple(_header(line) for line in options["headers"])
    target = Target(url, options["method"].upper(), headers, options["timeout"])
    token = _token("--token-file", options["token_file"])
    jwks, key_set = _key_set(token, options["issuer"], options["jwks_file"])
    made = catalogue(
        token,
        jwks=jwks,
        signer=_signer(token, options["key_file"]),
        ended=_other("--ended-token-file", options["ended_token_file"]),
        expired=_other("--expired-token-file", options["expired_token_file"]),
    )
    return target, token, made, key_set


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or not line.isascii() or not line.isprintable():
        raise ValueError("A header is written 'Name: value', in printable ASCII.")
    if name.strip().lower() in ("authorization", "host"):
        raise ValueError("The probe sends Authorization and Host itself.")
    return name.strip(), value.strip()


def _other(option: str, file: Path | None) -> str | None:
    return None if file is None else _token(option, file)


def _token(option: str, file: Path | None) -> str:
    text = ask("Token") if file is None or str(file) == "-" else _read(option, file)
    token = text.strip().removeprefix("Bearer ").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("A token is one line without spaces.")
    return token


def _read(option: str, file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as stream:
            return stream.read(_MAX_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        problem = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        # Not the file's name: somebody may have written the token itself there.
        raise Failed(f"The file of {option} cannot be read: {problem}.") from error


def _signer(token: str, file: Path | None) -> "Signer | None":
    from limen.verify.hostile import Signer  # noqa: PLC0415
    from limen.verify.hostile.forging import read  # noqa: PLC0415

    if file is None:
        return None
    return Signer.from_jwk(_object(_read("--key-file", file)), read(token).algorithm)


def _key_set(
    token: str, issuer: str | None, file: Path | None
) -> tuple[dict[str, Any] | None, str]:
    from limen.verify.fetching import Unreachable, fetch, require_safe  # noqa: PLC0415
    from limen.verify.hostile.forging import read  # noqa: PLC0415

    if file is not None:
        return _object(_read("--jwks-file", file)), f"The key set is read from {file}."
    named = issuer or read(token).payload.get("iss")
    address = f"{str(named).rstrip('/')}/.well-known/jwks.json"
    try:
        answer = fetch(require_safe(address), seconds=10, max_bytes=_MAX_BYTES)
        return _object(answer.body.decode()), f"The key set was read from {address}."
    except (Unreachable, ValueError) as error:
        return None, f"No key set was read from {address}: {error}"


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ValueError("A key or key set is one JSON object.")  # noqa: TRY004  a wrong value
    return value

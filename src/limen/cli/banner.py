"""What `limen serve` says once it answers: where it is, and what is not fit for production yet."""

import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Self

from limen import __version__
from limen.cli.output import show
from limen.database.address import place, sqlite_path
from limen.settings import Settings

if TYPE_CHECKING:
    from limen.limen import Limen  # the supervisor of workers does without it

_log = logging.getLogger("limen.serve")


@dataclass(frozen=True, slots=True)
class Banner:
    """`docs` is None where they are off; `issuer` is None where it is the URL itself."""

    url: str
    docs: str | None
    data: str
    root_key_at: str
    issuer: str | None
    development_only: tuple[str, ...]
    mail: str
    workers: int = 1

    @classmethod
    def of(cls, limen: "Limen", address: tuple[Any, ...]) -> Self:
        """Describe a limen that listens on a socket's address."""
        settings, url = limen.settings, _url(address)
        path = limen.features.secret.path
        return cls(
            url=url,
            docs=f"{url}/docs" if settings.docs else None,
            data=_data(settings),
            root_key_at="LIMEN_SECRET" if path is None else str(path.absolute()),
            issuer=None if settings.public_url == url else settings.public_url,
            development_only=tuple(_development_only(settings, address)),
            mail=_mail(limen, url),
        )

    @classmethod
    def of_workers(cls, workers: int, document: Mapping[str, Any]) -> Self:
        """Return the banner of so many workers, from the document of one of them."""
        points = tuple(document["development_only"])
        return cls(**{**document, "development_only": points, "workers": workers})

    def document(self) -> dict[str, Any]:
        """Return the banner for a program; no name in it is one that the log would redact."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the banner as a person reads it."""
        rows = {
            "URL": self.url,
            "Docs": self.docs,
            "Data": self.data,
            "Secret": f"{self.root_key_at} (keep a copy apart from the data)",
            "Issuer": self.issuer,
            "Mail": self.mail,
            "Workers": str(self.workers) if self.workers > 1 else None,
        }
        lines = [f"limen {__version__} is serving. Stop it with Ctrl-C.", ""]
        lines += [f"  {name:<8}{value}" for name, value in rows.items() if value is not None]
        if self.development_only:
            lines += ["", "  For development only:"]
            lines += [f"  - {point}" for point in self.development_only]
        return [*lines, ""]


def announce(banner: Banner, settings: Settings, *, as_json: bool) -> None:
    """Tell a program, a person or the log that limen answers."""
    logs_json = settings.log_format == "json" or (
        settings.log_format == "auto" and not sys.stderr.isatty()
    )
    if as_json or not logs_json:
        show(banner.document(), banner.lines(), as_json=as_json, err=True)
    else:
        points = " ".join(banner.development_only)
        _log.info("serving", extra=banner.document() | {"development_only": points})


def _mail(limen: "Limen", url: str) -> str:
    if server := limen.features.mail_delivery.server:
        return f"through {server.name}"
    if limen.settings.mail_goes == "into the inbox":
        return f"not sent: read it at {url}/dev/inbox"
    return "not sent: LIMEN_SMTP_URL names no mail server"


def _data(settings: Settings) -> str:
    if sqlite_path(settings.database_url) is None:
        return place(settings.database_url)
    return str(settings.data_dir.absolute())


def _url(address: tuple[Any, ...]) -> str:
    host, port = ip_address(address[0]), address[1]
    if host.is_unspecified:
        return f"http://localhost:{port}"
    return f"http://[{host}]:{port}" if host.version == 6 else f"http://{host}:{port}"  # noqa: PLR2004


def _development_only(settings: Settings, address: tuple[Any, ...]) -> list[str]:
    points = []
    sources = {option.variable: option.source for option in settings.describe()}
    if sources["LIMEN_PUBLIC_URL"] == "default":
        points.append(f"LIMEN_PUBLIC_URL is not set: tokens name {settings.public_url}.")
    if not ip_address(address[0]).is_loopback:
        points.append(
            "Passwords and tokens cross the network in plain http: let a proxy with TLS stand in "
            "front, and name it in LIMEN_TRUSTED_PROXIES."
        )
    if settings.docs:
        points.append("Anybody can read /docs and /openapi.json: LIMEN_DOCS=off closes them.")
    return points

"""An issuer elsewhere: a small HTTP server that is honest until a test makes it misbehave.

    with elsewhere() as issuer:
        verifier = issuer.verifier()
        issuer.answers[JWKS] = slowly           # from now on

An answer is a function of the request's handler, which may do with the socket what it likes.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from limen.verify import feed, key_source
from limen.verify.errors import InvalidToken, RevocationsStale
from limen.verify.issuer import Issuer
from limen.verify.revocations import Kind, Revocation, subject_digest
from limen.verify.verifier import Verifier
from tests.tokens import AUDIENCE, Signer, payload_of, signer

JWKS, FEED = key_source.PATH, feed.PATH

Answer = Callable[[BaseHTTPRequestHandler], None]


def answering(
    body: bytes | object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Answer:
    """Give this answer, whatever was asked."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(raw)), **(headers or {})}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(raw)

    return answer


@dataclass
class Elsewhere:
    """The server: its keys, its log, what it was asked, and how it answers."""

    url: str = ""
    signers: list[Signer] = field(default_factory=lambda: [signer("ES256")])
    log: list[Revocation] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    answers: dict[str, Answer] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)
    closed: bool = False
    issuers: list[Issuer] = field(default_factory=list)

    def verifier(self, *, now: Callable[[], float] = time.time, **options: Any) -> Verifier:
        """A verifier that follows this issuer until the end of the test."""
        self.issuers.append(Issuer(self.url, **options))
        return Verifier(self.url, AUDIENCE, keys=self.issuers[-1], now=now)

    def token(self, by: Signer | None = None, *, age: int = 60, **claims: object) -> str:
        now = int(time.time()) - age
        usual = {"iss": self.url, "iat": now, "nbf": now, "exp": now + 1800}
        return (by or self.signers[0]).token(payload=payload_of(**usual | claims))

    def publish(self, kind: Kind, subject: str = "", value: int = 0) -> None:
        with self.news:
            until = int(time.time()) + 3600
            named = subject_digest(subject) if subject else ""
            self.log.append(Revocation(len(self.log) + 1, kind, named, value, until))
            self.news.notify_all()

    def away(self) -> None:
        """Answer nothing but 500 from now on."""
        self.answers = dict.fromkeys((JWKS, FEED), answering(b"oops", 500))

    def jwks(self) -> dict[str, object]:
        return {"keys": [{**each.jwk, "use": "sig"} for each in self.signers]}

    def page(self, after: int, wait: float) -> dict[str, object]:
        began = time.monotonic()
        with self.news:
            self.news.wait_for(lambda: len(self.log) > after or self.closed, wait)
            entries = [asdict(entry) for entry in self.log[after:]]
            waited = time.monotonic() - began
            head = {"seq": len(self.log), "mark": f"{len(self.log)}-x", "complete": True}
            return {"entries": entries, **head, "age": 0.01, "waited": waited}

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        self.asked[parts.path] += 1
        if parts.path in self.answers:
            self.answers[parts.path](handler)
        elif parts.path == JWKS:
            answering(self.jwks(), headers={"Cache-Control": "public, max-age=300"})(handler)
        else:
            query = parse_qs(parts.query)
            answering(self.page(int(query["after"][0]), float(query["wait"][0])))(handler)


@contextmanager
def elsewhere() -> Iterator[Elsewhere]:
    """Run such an issuer on loopback for the length of the block."""
    issuer = Elsewhere()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                issuer.answer(self)
            except OSError:
                self.close_connection = True  # whoever asked has given up

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 64

    with Server(("127.0.0.1", 0), Handler) as server:
        issuer.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield issuer
        finally:
            for each in issuer.issuers:
                each.close()
            issuer.closed = True
            with issuer.news:
                issuer.news.notify_all()
            server.shutdown()
            thread.join()


def verdict(verifier: Verifier, token: str) -> str:
    """What a service would answer: 200, 401 or 503, with the reason of a 401."""
    try:
        verifier.verify_blocking(token)
    except InvalidToken as refusal:
        return f"401 {refusal.reason}"
    except RevocationsStale:
        return "503"
    return "200"

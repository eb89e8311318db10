"""A list of leaked passwords on a loopback port, which answers as it is told to."""

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

CRLF = b"\r\n"
PADDING = b"0" * 34 + b"1:0"


@dataclass
class Ranges:
    """What it answers, each piece of it after `pause` seconds, and what it was asked."""

    pieces: list[bytes] = field(default_factory=list)
    pause: float = 0.0
    url: str = ""
    asked: list[bytes] = field(default_factory=list)

    def answers(self, *lines: bytes) -> None:
        self.pieces = [answer(*lines)]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(CRLF + CRLF):
                self.asked.append(request)
                for piece in self.pieces:
                    await asyncio.sleep(self.pause)
                    writer.write(piece)
                    await writer.drain()
                if b"Connection: close" in self.pieces[0]:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the caller has left
        finally:
            writer.close()


def answer(*lines: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    """Return a whole answer, byte for byte."""
    body = CRLF.join(lines)
    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n" % (status, len(body), headers)
    return head + body


def leaked(password: str, times: int = 3) -> bytes:
    """Return the line of a range that says so."""
    return b"%s:%d" % (digest_of(password)[5:], times)


def digest_of(password: str) -> bytes:
    return hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()


@asynccontextmanager
async def a_list(tls: ssl.SSLContext | None = None) -> AsyncIterator[Ranges]:
    """Serve one for the length of the block."""
    ranges = Ranges()
    async with await asyncio.start_server(ranges.serve, "127.0.0.1", ssl=tls) as server:
        scheme = "https" if tls else "http"
        ranges.url = f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/range"
        yield ranges


def signed_by_itself(folder: Path) -> ssl.SSLContext:
    """Return what a server needs to show a certificate that nobody trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    made = made.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = made.add_extension(here, critical=False).sign(key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "chain").write_bytes(private + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain")
    return context

"""A service whose check of tokens has the weaknesses that it is asked to have, and no others.

Without any it is strict. Each weakness is one of the mistakes that real services and libraries
have made, written down in as few lines as they were there.
"""

import json
import time
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, RSAKey

from limen.verify.hostile import Signer
from limen.verify.strict_json import loads
from tests.tokens import AUDIENCE, ISSUER, b64, hs256, unb64

Members = dict[str, Any]

MEMBERS = {"alg", "typ", "kid"}


@dataclass
class WeakService:
    """An ASGI application: 200 or 401, or 500 where a weakness makes it fall over."""

    issuer: Signer  # an RS256 key
    kid: str = "test"
    weak: frozenset[str] = frozenset()
    ended: set[str] = field(default_factory=set)  # by sid
    ended_texts: set[str] = field(default_factory=set)  # by the whole token, which is a weakness
    requests: list[tuple[str, list[tuple[bytes, bytes]]]] = field(default_factory=list)
    status: int | None = None  # for every request with a token, whatever it says
    status_without: int = 401
    bad_until_blocked: int | None = None

    async def __call__(self, scope: MutableMapping[str, Any], _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self.requests.append((scope["method"], scope["headers"]))
        status = self._status(scope["headers"], scope["query_string"].decode())
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    def _status(self, headers: Iterable[tuple[bytes, bytes]], query: str) -> int:
        token = self._token(headers, query)
        if token is None:
            return self.status_without
        if self.status is not None:
            return self.status
        if self.bad_until_blocked == 0:
            return 403
        try:
            if self._lets_in(token):
                return 200
        except (ValueError, KeyError, TypeError, JoseError, InvalidTag):
            pass
        except RuntimeError:
            return 500
        if self.bad_until_blocked is not None:
            self.bad_until_blocked -= 1
        return 401

    def _token(self, headers: Iterable[tuple[bytes, bytes]], query: str) -> str | None:
        every = [value.decode("latin-1") for name, value in headers if name == b"authorization"]
        if "in-query" in self.weak and "access_token" in (asked := dict(parse_qsl(query))):
            return asked["access_token"]
        if "in-cookie" in self.weak:
            for name, value in headers:
                if name == b"cookie" and value.startswith(b"jwt="):
                    return value[4:].decode()
        if not every or (len(every) > 1 and not self.weak & {"first header", "last header"}):
            return None
        header = every[-1] if "last header" in self.weak else every[0]
        if header.startswith("Bearer "):
            return header[7:]
        return header.rpartition(" ")[2] if "any scheme" in self.weak else None

    def _lets_in(self, token: str) -> bool:
        if "decrypts" in self.weak and token.count(".") == 4:
            return self._decrypted(token)
        if "reads JSON" in self.weak and token.startswith("{"):
            said = json.loads(token)
            token = ".".join(said[part] for part in ("protected", "payload", "signature"))
        if token in self.ended_texts:
            return False
        if "pads" in self.weak:
            token = token.rstrip("=")
        if "falls over long tokens" in self.weak and len(token) > 5000:
            raise RuntimeError
        parts = token.split(".")
        if len(parts) == 2 and "none" in self.weak:
            parts.append("")
        header, payload, signature = (self._decoded(part) for part in parts)
        read = self._json(header)
        return self._signed(read, f"{parts[0]}.{parts[1]}".encode(), signature) and self._good(
            read, self._json(payload)
        )

    def _decoded(self, part: str) -> bytes:
        raw = unb64(part)
        if b64(raw) != part:
            raise ValueError
        return raw

    def _json(self, raw: bytes) -> Members:
        read = json.loads(raw) if "loose JSON" in self.weak else loads(raw)
        if not isinstance(read, dict):
            raise TypeError
        return read

    def _decrypted(self, token: str) -> bool:
        assert isinstance(self.issuer.key, RSAKey)
        content = jwe.decrypt_compact(token, self.issuer.key).plaintext or b""
        read: Members = json.loads(content) if content.startswith(b"{") else {}
        return self._good({"typ": "at+jwt"}, read)

    def _signed(self, header: Members, covered: bytes, signature: bytes) -> bool:
        alg, kid = header.get("alg"), header.get("kid")
        if "falls over odd kids" in self.weak and not isinstance(kid, str):
            raise RuntimeError
        if "none" in self.weak and str(alg).lower() == "none" and not signature:
            return True
        if not header.keys() <= MEMBERS | self._more_members():
            return False
        if alg == "HS256":
            return signature in (hs256(secret, covered) for secret in self._secrets(kid))
        key = self._key(header)
        if key is None or alg not in ("RS256", "PS256"):
            return False
        if alg == "PS256" and "any algorithm" not in self.weak:
            return False
        return "no signature" in self.weak or Signer(alg, key).verifies(covered, signature)

    def _more_members(self) -> set[str]:
        more = {"crit", "limen-probe"} if "ignores crit" in self.weak else set()
        return more | (self.weak & {"jwk", "jku"})

    def _secrets(self, kid: object) -> Iterable[bytes]:
        if "public key as secret" in self.weak:
            assert isinstance(self.issuer.key, RSAKey)
            public = self.issuer.key.public_key
            yield public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        if "tutorial secret" in self.weak:
            yield b"secret"
        if "kid is a file" in self.weak and str(kid).endswith("/dev/null"):
            yield b""

    def _key(self, header: Members) -> RSAKey | None:
        jwk: Members | None = header.get("jwk")
        if "jku" in self.weak and (address := urlsplit(header.get("jku", ""))).scheme == "data":
            jwk = json.loads(unb64(address.path.partition(",")[2]))["keys"][0]
        if jwk is not None:
            key = JWKRegistry.import_key({**jwk})
            assert isinstance(key, RSAKey)
            return key
        assert isinstance(self.issuer.key, RSAKey)
        return self.issuer.key if header.get("kid") == self.kid else None

    def _good(self, header: Members, payload: Members) -> bool:
        now = time.time()
        return all(
            (
                "any typ" in self.weak or header.get("typ") == "at+jwt",
                self._from_issuer(payload.get("iss")),
                "any aud" in self.weak or payload.get("aud") == AUDIENCE,
                "any exp" in self.weak or (type(payload["exp"]) is int and payload["exp"] > now),
                "any nbf" in self.weak or max(payload["nbf"], payload["iat"]) <= now,
                "any session" in self.weak or payload["sid"] not in self.ended,
            )
        )

    def _from_issuer(self, iss: object) -> bool:
        if "iss prefix" in self.weak:
            return str(iss).startswith(ISSUER)
        return "any iss" in self.weak or iss == ISSUER

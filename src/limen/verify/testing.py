"""Access tokens for the tests of your own service, without a server.

    issuer = TestIssuer("https://api.example.com")
    app = create_app(issuer.verifier())
    token = issuer.token(user_id="ada", scopes=["orders:write"])
    issuer.revoke(token)

An issuer in memory, with a signing key of its own. Its verifier is a real one: only where the keys
and the revocations come from differs from production. `hostile` makes all that a service must
refuse (`limen.verify.hostile`), so that a test can send each to each of your routes.
"""

import json
import secrets
import time
from collections.abc import Collection, Mapping
from math import inf
from typing import ClassVar

from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from limen.verify import base64url
from limen.verify.gate import parse
from limen.verify.hostile import Hostile, Signer, catalogue
from limen.verify.keyset import KeySet, VerificationKey
from limen.verify.revocations import Revocation, Revocations, subject_digest
from limen.verify.verifier import Verifier

LIFETIME_SECONDS = 1800


class TestIssuer:
    """An issuer of access tokens for `audience`, that signs with `algorithm`.

    Raises:
        ValueError: The algorithm is none of RS256, ES256 and Ed25519.
    """

    __test__: ClassVar[bool] = False  # pytest takes what is called Test... for tests

    def __init__(
        self,
        audience: str,
        *,
        url: str = "https://login.example.com",
        algorithm: str = "ES256",
    ) -> None:
        self.audience = audience
        self.url = url
        self.kid = secrets.token_hex(8)
        self._signer = Signer(algorithm, _new_key(algorithm))
        self._keys = KeySet([VerificationKey(self.kid, algorithm, self._signer.key)])
        self._revocations = Revocations(bound=inf)

    @property
    def jwks(self) -> dict[str, object]:
        """The public key set."""
        members = {"kid": self.kid, "alg": self._signer.algorithm, "use": "sig"}
        return {"keys": [{**self._signer.public, **members}]}

    def verifier(self, audience: str | None = None) -> Verifier:
        """Return a verifier of this issuer's tokens."""
        return Verifier(
            self.url,
            audience or self.audience,
            keys=self._keys,
            revocations=self._revocations,
        )

    def token(
        self,
        *,
        user_id: str = "user-1",
        scopes: Collection[str] = (),
        roles: Collection[str] = (),
        expires_in: int = LIFETIME_SECONDS,
        audience: str | None = None,
        sid: str | None = None,
        **claims: object,
    ) -> str:
        """Return an access token of a session of its own, unless `sid` names one.

        One that `expires_in` a negative number of seconds has expired. `claims` are added, or
        replace what would be said.
        """
        now = int(time.time())
        issued_at = min(now, now + expires_in - 1)
        payload = {
            "iss": self.url,
            "aud": audience or self.audience,
            "sub": user_id,
            "user_id": user_id,
            "sid": sid or secrets.token_hex(16),
            "jti": secrets.token_urlsafe(16),
            "iat": issued_at,
            "nbf": issued_at,
            "exp": now + expires_in,
            "type": "access",
            "cv": 1,
            "scope": " ".join(scopes),
            **({"roles": list(roles)} if roles else {}),
        }
        header = {"alg": self._signer.algorithm, "typ": "at+jwt", "kid": self.kid}
        signed = f"{_encoded(header)}.{_encoded(payload | claims)}"
        return f"{signed}.{base64url.encode(self._signer.sign(signed.encode()))}"

    def revoke(self, token: str) -> None:
        """End the session of the token: from now on it is refused."""
        sid = str(parse(token).payload["sid"])
        entry = Revocation(self._revocations.seq + 1, "session", subject_digest(sid), 0, 2**62)
        self._revocations.apply([entry])

    def hostile(self, **claims: object) -> tuple[Hostile, ...]:
        """Return what a service that accepts `token(**claims)` must refuse.

        What is only worth a note in the catalogue, as it harms nobody, is left out.
        """
        token = self.token(**claims)  # type: ignore[arg-type]  # they are those of `token`
        ended = self.token(**claims | {"sid": secrets.token_hex(16)})  # type: ignore[arg-type]
        self.revoke(ended)
        found = catalogue(token, jwks=self.jwks, signer=self._signer, ended=ended).hostile
        return tuple(each for each in found if each.attack.severity != "note")


def _new_key(algorithm: str) -> Key:
    match algorithm:
        case "RS256":
            return RSAKey.generate_key(2048)
        case "ES256":
            return ECKey.generate_key("P-256")
        case "Ed25519":
            return OKPKey.generate_key("Ed25519")
        case _:
            raise ValueError("The algorithm must be one of RS256, ES256, Ed25519.")


def _encoded(document: Mapping[str, object]) -> str:
    return base64url.encode(json.dumps(document, separators=(",", ":")).encode())

"""The keys that tokens are verified with.

A key is bound to one algorithm for as long as it exists: the token's header never chooses what a
key is used for (RFC 8725, section 3.1). Keys are parsed once and then found by their kid, so a
kid that nobody has is one dictionary look-up, whatever it says.

A JWKS document is read strictly: one key that is weak, private, ambiguous or not for signatures,
and the whole document is refused. We publish our own key sets, so an odd one is never a novelty
to be tolerated; it is a mistake or an attack.

The algorithm is written "Ed25519" (RFC 9864), not the older "EdDSA", which names a family.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, Self

from joserfc.errors import JoseError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from limen.verify import base64url

ALGORITHMS = ("RS256", "ES256", "Ed25519", "HS256")

# Below 2048 bits RSA is weak (NIST SP 800-131A); above 4096 a verification costs too much.
RSA_BITS = range(2048, 4096 + 1)

# FIPS 186-5, section 5.1. An exponent of 1 would make every message its own signature.
RSA_EXPONENTS = range(2**16 + 1, 2**256, 2)

# As long as the hash (RFC 7518, section 3.2).
HS256_SECRET_BYTES = 32

# The ROCA flaw (CVE-2017-15361): such a modulus is a power of 65537 modulo every small prime, and
# can be factored. A sound one passes for it once in a hundred million.
_ROCA_PRIMES = tuple(p for p in range(3, 168) if all(p % d for d in range(2, p)))
_ROCA_RESIDUES = {p: {pow(65537, power, p) for power in range(p)} for p in _ROCA_PRIMES}

_MODELS: dict[str, JWSAlgModel] = {
    name: JWSRegistry(algorithms=[name]).get_alg(name) for name in ALGORITHMS
}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """One key, and the one algorithm it verifies.

    Raises:
        ValueError: The algorithm is not one of `ALGORITHMS`, or the key is not of its type or is
            too weak for it.
    """

    kid: str
    algorithm: str
    key: Key = field(repr=False)

    def __post_init__(self) -> None:
        if self.algorithm not in _MODELS:
            raise ValueError(f"The algorithm must be one of {', '.join(ALGORITHMS)}.")
        try:
            _MODELS[self.algorithm].check_key(self.key)
        except JoseError:
            raise ValueError(f"The key cannot be used for {self.algorithm}.") from None
        if isinstance(self.key, OctKey) and len(self.key.raw_value) < HS256_SECRET_BYTES:
            raise ValueError(f"An HS256 secret needs {HS256_SECRET_BYTES} bytes or more.")
        if isinstance(self.key, RSAKey):
            numbers = self.key.public_key.public_numbers()
            _check_rsa(numbers.n, numbers.e)

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Say whether this key made `signature` over `signed`, by its own algorithm."""
        return _MODELS[self.algorithm].verify(signed, signature, self.key)


class Keys(Protocol):
    """Where a verifier finds its keys."""

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key of that kid, or None. Must be cheap: anybody may ask for any kid."""

    async def renew(self, kid: str, issued_at: int, /) -> bool:
        """Let the keys be read anew; return False if it cannot be known now whose kid that is.

        Called for a kid that is not known, in a token that says it was issued then, so anybody may
        bring it about: bound what it costs.
        """

    def renew_blocking(self, kid: str, issued_at: int, /) -> bool:
        """Do the same in a thread that may wait."""


class KeySet:
    """Keys that are known beforehand."""

    def __init__(self, keys: Iterable[VerificationKey]) -> None:
        self._keys: dict[str, VerificationKey] = {}
        for key in keys:
            if key.kid in self._keys:
                raise ValueError("Two keys have the same kid.")
            self._keys[key.kid] = key

    @classmethod
    def from_jwks(cls, document: Mapping[str, object]) -> Self:
        """Read a JWKS document (RFC 7517, section 5) of public keys.

        Raises:
            ValueError: The document or one of its keys is not acceptable; the message names the
                fault and the key's place, and repeats no value.
        """
        keys = document.get("keys")
        if not isinstance(keys, list) or not keys:
            raise ValueError("A key set needs a member 'keys', a list that is not empty.")
        return cls(_public_key(jwk, f"keys[{place}]") for place, jwk in enumerate(keys))

    def find(self, kid: str) -> VerificationKey | None:
        """Return the key of that kid, or None."""
        return self._keys.get(kid)

    async def renew(self, _kid: str, _issued_at: int, /) -> bool:
        """Return True: there is nothing else to be known."""
        return True

    def renew_blocking(self, _kid: str, _issued_at: int, /) -> bool:
        """Return True."""
        return True

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the JWK of a public key for one algorithm looks like (RFC 7518, RFC 8037)."""

    key: type[RSAKey | ECKey | OKPKey]
    fixed: Mapping[str, str]
    values: tuple[str, ...]


_SHAPES = {
    "RS256": _Shape(RSAKey, {"kty": "RSA"}, ("n", "e")),
    "ES256": _Shape(ECKey, {"kty": "EC", "crv": "P-256"}, ("x", "y")),
    "Ed25519": _Shape(OKPKey, {"kty": "OKP", "crv": "Ed25519"}, ("x",)),
}

_SECRET_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


def sign(algorithm: str, key: Key, signed: bytes) -> bytes:
    """Return the signature over the bytes, by a private key or a secret, that `verifies` checks."""
    return _MODELS[algorithm].sign(signed, key)


def _public_key(jwk: object, place: str) -> VerificationKey:
    if not isinstance(jwk, dict):
        raise ValueError(f"{place} is not an object.")  # noqa: TRY004  a wrong value, not a wrong call
    kid, algorithm = jwk.get("kid"), jwk.get("alg")
    if not isinstance(kid, str) or not kid:
        raise ValueError(f"{place} has no kid.")
    if jwk.get("kty") == "oct" or not _SECRET_MEMBERS.isdisjoint(jwk):
        raise ValueError(f"{place} is not a public key: it holds a secret.")
    if not isinstance(algorithm, str) or algorithm not in _SHAPES:
        raise ValueError(f"{place} needs an alg, one of {', '.join(_SHAPES)}.")
    _check_purpose(jwk, place)
    return VerificationKey(kid, algorithm, _imported(jwk, _SHAPES[algorithm], place))


def _check_purpose(jwk: Mapping[str, object], place: str) -> None:
    if jwk.get("use", "sig") != "sig":
        raise ValueError(f"{place} is not for signatures: its use must be 'sig'.")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise ValueError(f"{place} is not for verifying: its key_ops must hold 'verify'.")


def _imported(jwk: Mapping[str, object], shape: _Shape, place: str) -> Key:
    if any(jwk.get(name) != value for name, value in shape.fixed.items()):
        raise ValueError(f"{place} has another kty or crv than its alg needs.")
    public = {**shape.fixed}
    for name in shape.values:
        value = jwk.get(name)
        if not isinstance(value, str) or not _BASE64URL.fullmatch(value):
            raise ValueError(f"{place}: {name} is not base64url.")
        public[name] = value
    try:
        if shape.key is RSAKey:  # before the import, which only warns of a small one
            _check_rsa(_integer(public["n"]), _integer(public["e"]))
        return shape.key.import_key({**public})
    except (JoseError, ValueError) as error:
        raise ValueError(f"{place} is unsound: {error}") from error


def _integer(text: str) -> int:
    return int.from_bytes(base64url.decode(text))


def _check_rsa(modulus: int, exponent: int) -> None:
    if modulus.bit_length() not in RSA_BITS or modulus % 2 == 0:
        raise ValueError(
            f"An RSA modulus must be odd and have {RSA_BITS[0]} to {RSA_BITS[-1]} bits."
        )
    if exponent not in RSA_EXPONENTS:
        raise ValueError("An RSA exponent must be odd and 65537 or more.")
    if all(modulus % prime in residues for prime, residues in _ROCA_RESIDUES.items()):
        raise ValueError("This RSA key has the ROCA flaw and can be factored.")

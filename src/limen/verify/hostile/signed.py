"""Tokens that only the issuer could make, and that must be refused all the same.

Each is well signed and has one fault. They are for those who test their service with an issuer of
their own, whose private key they have.
"""

import json
from collections.abc import Iterator, Mapping

from limen.verify.hostile.attacks import ATTACKS
from limen.verify.hostile.forging import Document, Signer, Valid, compact
from limen.verify.hostile.requests import Hostile

HOUR = 3600

# Longer than any leeway should be; limen.verify allows a minute.
_PAST_LEEWAY = 600

# Whoever checks the type has been given one of these; a token without one says nothing.
_ACCESS_TYPES = ("at+jwt", "application/at+jwt")
_OTHER_TYPES = ("rt+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", "limen-probe+jwt")

# The other algorithms that take the same key.
_SIBLINGS = {"RS256": "PS256", "PS256": "RS256", "HS256": "HS512", "HS512": "HS256"}

_Fault = tuple[str, Document, Document]


def tokens(valid: Valid, signer: Signer, now: float) -> Iterator[Hostile]:
    """Yield well-signed tokens with one fault each."""
    for attack, faults in _FAULTS.items():
        for name, header, payload in faults(valid, int(now)):
            yield Hostile(name, ATTACKS[attack], compact(header, payload, signer.sign))
    if sibling := _SIBLINGS.get(signer.algorithm):
        header = {**valid.header, "alg": sibling}
        token = compact(header, valid.payload, Signer(sibling, signer.key).sign)
        yield Hostile(f"{sibling}, same key", ATTACKS["other-algorithm"], token)


def _expired(valid: Valid, now: int) -> Iterator[_Fault]:
    for name, ago in (("ten minutes ago", _PAST_LEEWAY), ("a day ago", 24 * HOUR)):
        yield _claims(valid, name, iat=now - ago - HOUR, nbf=now - ago - HOUR, exp=now - ago)


def _no_expiry(valid: Valid, now: int) -> Iterator[_Fault]:
    yield "no exp", valid.header, _without(valid.payload, "exp")
    odd = {"null": None, "text": str(now + HOUR), "true": True, "list": [now + HOUR]}
    for name, value in {**odd, "half a second": now + HOUR + 0.5, "10^50": 10**50}.items():
        yield _claims(valid, f"exp {name}", exp=value)
    for number in ("NaN", "Infinity", "1e999"):
        yield f"exp {number}", valid.header, _raw(_without(valid.payload, "exp"), "exp", number)


def _not_yet_valid(valid: Valid, now: int) -> Iterator[_Fault]:
    later = now + _PAST_LEEWAY
    yield _claims(valid, "nbf in ten minutes", nbf=later, exp=later + HOUR)
    yield _claims(valid, "iat in ten minutes", iat=later, exp=later + HOUR)


def _wrong_issuer(valid: Valid, _now: int) -> Iterator[_Fault]:
    true = str(valid.payload.get("iss", ""))
    yield "no iss", valid.header, _without(valid.payload, "iss")
    wrong: dict[str, object] = {
        "another": "https://limen-probe.invalid",
        "longer": f"{true}.limen-probe.invalid",
        "with a slash": f"{true}/",
        "shorter": true[:-1],
        "empty": "",
        "a list": [true, "https://limen-probe.invalid"],
    }
    for name, value in wrong.items():
        yield _claims(valid, name, iss=value)


def _wrong_audience(valid: Valid, _now: int) -> Iterator[_Fault]:
    aud = valid.payload.get("aud")
    true = str(aud[0] if isinstance(aud, list) and aud else aud)
    yield "no aud", valid.header, _without(valid.payload, "aud")
    wrong: dict[str, object] = {
        "another": "https://limen-probe.invalid",
        "longer": f"{true}.limen-probe.invalid",
        "shorter": true[:-1],
        "empty": "",
        "an empty list": [],
        "a list of others": ["https://limen-probe.invalid"],
    }
    for name, value in wrong.items():
        yield _claims(valid, name, aud=value)


def _wrong_type(valid: Valid, _now: int) -> Iterator[_Fault]:
    for typ in _OTHER_TYPES:
        yield typ, {**valid.header, "typ": typ}, valid.payload
    if valid.header.get("typ") in _ACCESS_TYPES:
        yield "JWT", {**valid.header, "typ": "JWT"}, valid.payload
        yield "no typ", _without(valid.header, "typ"), valid.payload


def _critical_header(valid: Valid, _now: int) -> Iterator[_Fault]:
    unknown = {"crit": ["limen-probe"], "limen-probe": True}
    for name, members in (
        ("unknown", unknown),
        ("empty", {"crit": []}),
        ("names exp", {"crit": ["exp"]}),
    ):
        yield name, {**valid.header, **members}, valid.payload


def _duplicate_members(valid: Valid, _now: int) -> Iterator[_Fault]:
    header, payload = dict(valid.header), dict(valid.payload)
    yield "alg twice", _raw(header, "alg", json.dumps(valid.algorithm)), payload
    for claim in ("sub", "exp", "aud"):
        if claim in payload:
            yield f"{claim} twice", header, _raw(payload, claim, json.dumps(payload[claim]))


def _odd_json(valid: Valid, _now: int) -> Iterator[_Fault]:
    text = json.dumps(valid.payload)
    yield "UTF-16", valid.header, text.encode("utf-16-le")
    yield "byte order mark", valid.header, b"\xef\xbb\xbf" + text.encode()
    yield "half a surrogate pair", valid.header, _raw(valid.payload, "limen_probe", '"\\ud800"')
    deep = "[" * 1000 + "]" * 1000
    yield "nested deeply", valid.header, _raw(valid.payload, "limen_probe", deep)


_FAULTS = {
    "expired": _expired,
    "no-expiry": _no_expiry,
    "not-yet-valid": _not_yet_valid,
    "wrong-issuer": _wrong_issuer,
    "wrong-audience": _wrong_audience,
    "wrong-type": _wrong_type,
    "critical-header": _critical_header,
    "duplicate-members": _duplicate_members,
    "odd-json": _odd_json,
}

ATTACKS_SIGNED = (*_FAULTS, "other-algorithm")


def _claims(valid: Valid, name: str, **changes: object) -> _Fault:
    return name, valid.header, {**valid.payload, **changes}


def _without(members: Mapping[str, object], name: str) -> dict[str, object]:
    return {other: value for other, value in members.items() if other != name}


def _raw(members: Mapping[str, object], name: str, text: str) -> bytes:
    """Return the members as JSON with one more at the end, whose value is written as it is."""
    return f"{json.dumps({**members})[:-1]}, {json.dumps(name)}: {text}}}".encode()

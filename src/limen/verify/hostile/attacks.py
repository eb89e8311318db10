"""What each kind of hostile request is, what it means if it is let in, and what then helps.

The severities:

    high    somebody gets in who must not, or what was ended goes on
    low     the token is good, but the service reads it loosely: lists of ended tokens, caches and
            proxies can be slipped past, or the token ends up where others read it
    note    the standards allow it; it is told because few know it
"""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["high", "low", "note"]


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind of attack: its name, and for a finding, why it matters and how to end it."""

    name: str
    severity: Severity
    why: str
    fix: str


_PIN = "Verify with one algorithm, written in your configuration or bound to the key"

_ALL = (
    Attack(
        "alg-none",
        "high",
        "A token that says it needs no signature is believed: anybody can be anybody"
        " (CVE-2015-9235).",
        f"{_PIN}, and never take it from the token. 'none' is in no such list.",
    ),
    Attack(
        "public-key-as-secret",
        "high",
        "The public key, which everybody has, is taken as an HMAC secret: anybody can sign"
        " (CVE-2016-5431).",
        f"{_PIN}: a key for RS256, ES256 or Ed25519 must never verify an HS256 token.",
    ),
    Attack(
        "weak-secret",
        "high",
        "The token is verified with an empty secret or one from a tutorial: anybody can sign.",
        "Use a random secret of 32 bytes or more, and refuse to start without it; or sign with a"
        " key pair.",
    ),
    Attack(
        "unverified-signature",
        "high",
        "A token that the issuer never signed is believed: the signature is decoded, perhaps, but"
        " not verified.",
        "Call the function of your library that verifies, with the issuer's key, and look for an"
        " option such as verify_signature=False.",
    ),
    Attack(
        "embedded-key",
        "high",
        "The token brings the key that it is verified with (RFC 8725, section 3.8; CVE-2018-0114).",
        "Find keys by kid in the issuer's key set alone; ignore or refuse the headers jwk and x5c.",
    ),
    Attack(
        "key-url",
        "high",
        "The token says where its key is to be fetched from, so that it verifies itself and makes"
        " your service call other people's servers.",
        "Refuse the headers jku and x5u, or compare them with one address from your configuration.",
    ),
    Attack(
        "kid-injection",
        "high",
        "The kid is used as a file name or in a query, and the attacker chooses what it finds.",
        "Use the kid only to look a key up in a dictionary of the issuer's keys.",
    ),
    Attack(
        "malformed",
        "high",
        "Something that is no token of the issuer's, and has an odd form, is believed.",
        "Take three parts of base64url whose first two are JSON objects, verify the signature, and"
        " refuse everything else with 401.",
    ),
    Attack(
        "encrypted",
        "high",
        "An encrypted token is believed though nobody signed it: the issuer's public key encrypts"
        " for everybody.",
        "Do not accept JWE where signed tokens are expected; after decrypting, verify a signature.",
    ),
    Attack(
        "json-serialisation",
        "high",
        "A token in JSON form is believed; two parsers may read two payloads from it"
        " (CVE-2022-39227).",
        "Accept the compact form alone: three parts of base64url between two dots.",
    ),
    Attack(
        "oversized",
        "high",
        "A token that nobody signed, larger than any real one, is believed.",
        "Verify the signature, and refuse a token of more than some KiB before it is parsed.",
    ),
    Attack(
        "ended-session",
        "high",
        "The token of a session that was ended still works: signing out ends nothing here.",
        "Follow the issuer's revocations (limen.verify does), ask its introspection, or accept that"
        " a stolen token lives until it expires, and make that short.",
    ),
    Attack(
        "expired",
        "high",
        "A token works after its time: one that was stolen works for ever.",
        "Check exp with a leeway of a minute at most; look for an option such as verify_exp=False.",
    ),
    Attack(
        "no-expiry",
        "low",
        "A token without an end, or with one that is no whole number, is accepted.",
        "Require exp, and that it is an integer of seconds.",
    ),
    Attack(
        "not-yet-valid",
        "high",
        "A token works before its time.",
        "Check nbf, and that iat is not in the future, with a leeway of a minute at most.",
    ),
    Attack(
        "wrong-issuer",
        "high",
        "A token of another issuer is believed (CVE-2024-53861 compared only a part).",
        "Compare iss with the whole issuer from your configuration, for equality.",
    ),
    Attack(
        "wrong-audience",
        "high",
        "A token that was made for another service works here: that service can act as its users.",
        "Require aud, and that your own name is in it, compared for equality.",
    ),
    Attack(
        "wrong-type",
        "high",
        "A token of another kind, such as a refresh or a logout token, works as an access token"
        " (RFC 8725, section 3.11).",
        "Require the header's typ to be at+jwt (RFC 9068, section 4).",
    ),
    Attack(
        "critical-header",
        "low",
        "A token is accepted though it says that it must not be by whoever does not understand its"
        " extension (RFC 7515, section 4.1.11).",
        "Refuse every token with a crit header, unless you implement all that it names.",
    ),
    Attack(
        "other-algorithm",
        "low",
        "The key is used with another algorithm than its own (CVE-2026-48523).",
        f"{_PIN}.",
    ),
    Attack(
        "duplicate-members",
        "low",
        "A member occurs twice and the token is accepted: a proxy may read the one, you the other.",
        "Parse with a reader that refuses duplicate members (limen.verify.strict_json does).",
    ),
    Attack(
        "odd-json",
        "low",
        "JSON that not every reader takes for the same is accepted (RFC 8725, section 3.7).",
        "Accept UTF-8 alone, without a byte order mark or lone surrogates, and bound its depth.",
    ),
    Attack(
        "spelling",
        "low",
        "The valid token is accepted in another spelling: a list of ended tokens that holds its"
        " text, or a cache, is slipped past.",
        "Refuse base64url that is not canonical; end sessions by sid or jti, never by the token's"
        " text.",
    ),
    Attack(
        "ecdsa-twin",
        "note",
        "Anybody can make a second valid signature from an ECDSA signature. It forges nothing.",
        "End sessions by sid or jti, never by the token's text. --ended-token-file tests that.",
    ),
    Attack(
        "two-headers",
        "low",
        "A request with two Authorization headers is answered: a proxy may judge the one and your"
        " service obey the other.",
        "Refuse with 400 whatever has more than one Authorization header.",
    ),
    Attack(
        "other-scheme",
        "low",
        "The token is accepted without the scheme Bearer, which other readers of the request do not"
        " expect.",
        "Accept one form alone: 'Authorization: Bearer <token>'.",
    ),
    Attack(
        "in-query",
        "low",
        "The token is accepted in the address, and addresses are logged, shared and sent on"
        " (RFC 9700, section 4.3.2).",
        "Accept it in the Authorization header alone.",
    ),
    Attack(
        "in-cookie",
        "note",
        "The token is accepted in a cookie, which the browser also sends for other people's pages.",
        "If that is meant, defend it against request forgery (SameSite, a check of Origin); else"
        " accept the Authorization header alone.",
    ),
)

ATTACKS = {attack.name: attack for attack in _ALL}

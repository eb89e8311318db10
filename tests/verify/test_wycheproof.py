"""Project Wycheproof's signatures and keys: where our answer is another, the reason is stated."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OctKey

from limen.verify.errors import InvalidToken
from limen.verify.gate import parse, split
from limen.verify.keyset import KeySet, VerificationKey
from limen.verify.strict_json import loads
from tests.tokens import unb64

VECTORS = Path(__file__).parent.parent / "vectors"

# Where the vectors themselves are odd: the answer they want would be a wrong one.
QUIRKS = {
    346: "the JWK's alg is PS256, the header's PS384, and it is marked valid",
    347: "the JWK's alg is ES521, which does not exist, and it is marked valid",
    350: "as 346",
    351: "as 347",
    367: "marked invalid for its padding, but letter by letter the valid token of 357",
    370: "as 367",
    372: "a '?' inside the base64url of the header, and it is marked valid",
    373: "a '?' inside the base64url of the payload, and it is marked valid",
}

# Valid, and refused here on purpose.
POLICY = {
    259: "an empty payload is no JSON object",
    **dict.fromkeys(range(264, 268), "RS384 is not offered"),
    **dict.fromkeys(range(268, 272), "RS512 is not offered"),
    **dict.fromkeys([272, 273, 274, 275, 287, 288], "PS256 is not offered"),
    **dict.fromkeys(range(320, 324), "PS384 is not offered"),
    **dict.fromkeys(range(325, 329), "PS512 is not offered"),
}

# Valid key sets that KeySet.from_jwks refuses on purpose.
KEY_POLICY = {
    2: "secrets never come in a JWKS",
    **dict.fromkeys([13, 14, 15], "secrets never come in a JWKS"),
}


def vectors(name: str) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    document = json.loads((VECTORS / f"wycheproof_json_web_{name}_test.json").read_text())
    for group in document["testGroups"]:
        for case in group["tests"]:
            yield group, case


def compact(case: Mapping[str, Any]) -> str:
    token = case["jws"]
    return token if isinstance(token, str) else json.dumps(token)


def signature_holds(group: Mapping[str, Any], token: str) -> bool:
    """The gate's first half and the key's verdict: what is left of a check without our claims."""
    try:
        header_json, _, signature = split(token)
        header = loads(header_json)
        key = imported(group)
    except (InvalidToken, ValueError):
        return False
    if not isinstance(header, dict) or header.get("alg") != key.algorithm:
        return False
    signed = token.rpartition(".")[0].encode()
    return header.get("kid") == key.kid and key.verifies(signed, signature)


def imported(group: Mapping[str, Any]) -> VerificationKey:
    if "public" not in group:
        secret = group["private"]
        return VerificationKey(secret["kid"], secret["alg"], OctKey.import_key(unb64(secret["k"])))
    found = KeySet.from_jwks({"keys": [group["public"]]}).find(group["public"]["kid"])
    assert found is not None
    return found


def test_all_401_signatures_are_judged_as_wycheproof_does_or_for_a_stated_reason() -> None:
    differing = set()
    count: Counter[str] = Counter()
    for group, case in vectors("signature"):
        ours = "valid" if signature_holds(group, compact(case)) else "invalid"
        count[f"{case['result']} there, {ours} here"] += 1
        if ours != case["result"]:
            differing.add(case["tcId"])
    print(dict(count), f"{len(QUIRKS)} quirks, {len(POLICY)} by policy")

    assert count.total() == 401
    assert differing == QUIRKS.keys() | POLICY.keys()


def test_no_bad_signature_is_accepted_but_the_two_that_are_good() -> None:
    accepted = {
        case["tcId"]: compact(case)
        for group, case in vectors("signature")
        if case["result"] == "invalid" and signature_holds(group, compact(case))
    }
    twin = next(compact(case) for _, case in vectors("signature") if case["tcId"] == 357)

    assert accepted == {367: twin, 370: twin}


def test_no_vector_is_an_access_token() -> None:
    for _, case in vectors("signature"):
        with pytest.raises(InvalidToken):
            parse(compact(case))


def test_all_26_key_sets_are_judged_as_wycheproof_does_or_for_a_stated_reason() -> None:
    differing = set()
    faults: Counter[str] = Counter()
    for group, case in vectors("key"):
        ours, fault = verdict(group, compact(case))
        faults[fault] += 1
        if ours != case["result"]:
            differing.add(case["tcId"])
    print(*(f"{n} x {fault}" for fault, n in faults.most_common()), sep="\n")

    assert faults.total() == 26
    assert differing == KEY_POLICY.keys()


def verdict(group: Mapping[str, Any], token: str) -> tuple[str, str]:
    document = group.get("public") or group["private"]
    try:
        keys = KeySet.from_jwks(document)
    except ValueError as refusal:
        return "invalid", str(refusal)
    header = loads(split(token)[0])
    assert isinstance(header, dict)
    key = keys.find(header["kid"])
    assert key is not None
    signed, _, signature = token.rpartition(".")
    return ("valid" if key.verifies(signed.encode(), unb64(signature)) else "invalid"), "imported"

"""J20: a token made for one use, presented for another."""

import itertools

import pytest

from limen.verify.errors import InvalidToken
from limen.verify.gate import parse
from tests.tokens import payload_of, payload_without, reason, signer, verifier

TYPS = ["at+jwt", "rt+jwt", "JWT", "application/at+jwt", "id+jwt", "logout+jwt", "dpop+jwt"]
TYPES = ["access", "refresh", "id", "reset", "verify"]
AUDIENCES = ["https://api.example.com", "https://login.example.com", "client-1"]

ID_TOKEN = payload_without("type", nonce="n", email="a@example.com", aud="client-1")
REFRESH_TOKEN = payload_without("sid", type="refresh", fid="f-1", gen=1)


@pytest.mark.parametrize(("typ", "kind", "aud"), list(itertools.product(TYPS, TYPES, AUDIENCES)))
def test_one_combination_alone_is_an_access_token(typ: str, kind: str, aud: str) -> None:
    ours = signer("Ed25519")
    token = ours.token(ours.header(typ=typ), payload_of(type=kind, aud=aud))
    is_access = (typ, kind, aud) == (TYPS[0], TYPES[0], AUDIENCES[0])

    expected = {"accepted"} if is_access else {"wrong_type", "wrong_audience"}
    assert reason(verifier(), token) in expected


@pytest.mark.parametrize("payload", [ID_TOKEN, REFRESH_TOKEN], ids=["ID token", "refresh token"])
def test_another_token_under_our_typ_is_still_another(payload: dict[str, object]) -> None:
    assert reason(verifier(), signer("HS256").token(payload=payload)) == "wrong_type"


@pytest.mark.parametrize(("typ", "wanted"), list(itertools.product(TYPS, ["at+jwt", "rt+jwt"])))
def test_a_gate_lets_only_its_own_typ_in(typ: str, wanted: str) -> None:
    ours = signer("HS256")
    token = ours.token(ours.header(typ=typ))

    if typ == wanted:
        assert parse(token, typ=wanted).token == token
    else:
        with pytest.raises(InvalidToken) as refused:
            parse(token, typ=wanted)
        assert refused.value.reason == "wrong_type"

"""A token's claims are all there and of the right shape, or it is no token."""

import pickle
from dataclasses import asdict

import pytest

from limen.verify.claims import Claims
from limen.verify.errors import InvalidToken
from tests.tokens import AUDIENCE, ISSUER, NOW, payload_of, payload_without

TEXTS = ("iss", "sub", "user_id", "sid", "jti")
TIMES = ("iat", "nbf", "exp", "cv")
NOT_A_TEXT: list[object] = [None, "", 1, True, [], ["u-1"], {}]
NOT_A_WHOLE: list[object] = [None, True, False, 1.0, float(NOW), str(NOW), -1, [], {}, [NOW]]
NOT_AN_AUDIENCE: list[object] = [None, "", 1, {}, [], [""], [None], [AUDIENCE, 1], [[AUDIENCE]]]


def refusal(payload: dict[str, object]) -> str:
    with pytest.raises(InvalidToken) as caught:
        Claims.from_payload(payload)
    return caught.value.reason


def test_the_names_on_the_wire_become_words() -> None:
    claims = Claims.from_payload(payload_of(scope="admin reports:read", cv=7, more="kept"))

    assert claims == Claims(
        user_id="u-1",
        sid="s-1",
        jti="t-1",
        issuer=ISSUER,
        audience=(AUDIENCE,),
        issued_at=NOW,
        not_before=NOW,
        expires_at=NOW + 1800,
        cv=7,
        scopes=frozenset({"admin", "reports:read"}),
        extra_json='{"more": "kept"}',
    )


def test_what_else_a_token_says_can_be_read_and_not_changed() -> None:
    claims = Claims.from_payload(payload_of(tenant={"name": "acme"}, seats=[1, 2]))
    claims.extra["tenant"]["name"] = "initech"

    assert claims.extra == {"tenant": {"name": "acme"}, "seats": [1, 2]}
    assert claims == Claims.from_payload(payload_of(seats=[1, 2], tenant={"name": "acme"}))
    assert pickle.loads(pickle.dumps(claims)) == claims  # noqa: S301  our own
    assert asdict(claims)
    assert "acme" not in repr(claims)


@pytest.mark.parametrize("name", [*TEXTS, *TIMES, "aud", "scope"])
def test_every_claim_is_required(name: str) -> None:
    assert refusal(payload_without(name)) == "bad_claims"


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("value", NOT_A_TEXT, ids=repr)
def test_a_name_is_a_text(name: str, value: object) -> None:
    assert refusal(payload_of(**{name: value})) == "bad_claims"


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize("value", NOT_A_WHOLE, ids=repr)
def test_a_number_is_a_whole_number_and_no_boolean(name: str, value: object) -> None:
    assert refusal(payload_of(**{name: value})) == "bad_claims"


@pytest.mark.parametrize("value", NOT_AN_AUDIENCE, ids=repr)
def test_an_audience_is_a_text_or_a_list_of_texts(value: object) -> None:
    assert refusal(payload_of(aud=value)) == "bad_claims"


def test_a_list_of_audiences_is_kept_in_order() -> None:
    assert Claims.from_payload(payload_of(aud=["b", "a"])).audience == ("b", "a")


@pytest.mark.parametrize("value", [None, 1, ["admin"], {}], ids=repr)
def test_a_scope_is_a_text(value: object) -> None:
    assert refusal(payload_of(scope=value)) == "bad_claims"


@pytest.mark.parametrize("value", ["", " ", "  "], ids=repr)
def test_no_scope_is_no_scope(value: str) -> None:
    assert Claims.from_payload(payload_of(scope=value)).scopes == frozenset()


@pytest.mark.parametrize("value", [True, False])
def test_whether_the_address_is_verified_may_be_said(value: object) -> None:
    assert Claims.from_payload(payload_of(email_verified=value)).email_verified is value
    assert Claims.from_payload(payload_of()).email_verified is False


@pytest.mark.parametrize("value", [None, 0, 1, "true", "false", [True], {}], ids=repr)
def test_and_only_in_so_many_words(value: object) -> None:
    assert refusal(payload_of(email_verified=value)) == "bad_claims"


def test_sub_and_user_id_are_one() -> None:
    assert refusal(payload_of(sub="u-2")) == "bad_claims"


@pytest.mark.parametrize("value", [None, "", "refresh", "Access", ["access"], True], ids=repr)
def test_only_an_access_token_has_these_claims(value: object) -> None:
    assert refusal(payload_of(type=value)) == "wrong_type"


def test_a_missing_type_is_a_wrong_type() -> None:
    assert refusal(payload_without("type")) == "wrong_type"

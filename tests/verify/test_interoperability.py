"""What limen issues others verify, and what others make with limen's keys limen verifies."""

import asyncio
import json
import math
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pytest
from joserfc import jwk as joserfc_jwk
from joserfc import jwt as joserfc_jwt
from jwcrypto import jwk as jwcrypto_jwk  # type: ignore[import-untyped]  # it has no types
from jwcrypto import jwt as jwcrypto_jwt

from limen.settings import Settings
from limen.verify.keyset import KeySet
from limen.verify.revocations import Revocations
from limen.verify.verifier import Verifier
from tests.clock import ManualClock
from tests.people import calling_from, somebody
from tests.pyjwt import jwt
from tests.running import running
from tests.tokens import AUDIENCE, ISSUER

Algorithm = Literal["RS256", "ES256", "Ed25519"]
ALGORITHMS: tuple[Algorithm, ...] = ("RS256", "ES256", "Ed25519")
JOSE = Path(__file__).parent / "jose"


@dataclass(frozen=True, slots=True)
class Case:
    """A token that limen issued, the key set that it published, and the private key."""

    algorithm: Algorithm
    token: str
    user_id: str
    jwks: dict[str, Any]
    jwk: dict[str, Any]

    @property
    def header(self) -> dict[str, str]:
        return {"alg": self.algorithm, "typ": "at+jwt", "kid": self.jwk["kid"]}

    @property
    def public(self) -> dict[str, Any]:
        key: dict[str, Any] = self.jwks["keys"][0]
        return key


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Case]:
    return {name: asyncio.run(issued(name, tmp_path_factory.mktemp(name))) for name in ALGORITHMS}


async def issued(algorithm: Algorithm, folder: Path) -> Case:
    settings = replace(
        Settings(data_dir=folder, database_url=f"sqlite:///{folder}/limen.db"),
        signing_algorithm=algorithm,
        public_url=ISSUER,
        audience=AUDIENCE,
    )
    async with running(settings, ManualClock()) as limen, calling_from(limen, "127.0.0.1") as http:
        ada = await somebody(limen, http)
        jwks = (await http.get("/.well-known/jwks.json")).json()
        private = limen.features.memory.ring.signing.key.as_dict(private=True)
    return Case(algorithm, ada.tokens["access_token"], ada.user_id, jwks, {**private})


# Each verifies the token of a case, and returns its claims and a token of its own making.
Library = Callable[[Case], tuple[dict[str, Any], str]]


def pyjwt(case: Case) -> tuple[dict[str, Any], str]:
    def key(jwk: dict[str, Any]) -> Any:
        name = case.algorithm.replace("Ed25519", "EdDSA")  # it knows the key by the older name
        return jwt.PyJWK(jwk, algorithm=name).key

    wanted: dict[str, Any] = {"issuer": ISSUER, "audience": AUDIENCE}
    claims = jwt.decode(case.token, key(case.public), algorithms=[case.algorithm], **wanted)
    return claims, jwt.encode(claims, key(case.jwk), case.algorithm, headers=case.header)


def joserfc(case: Case) -> tuple[dict[str, Any], str]:
    algorithms = [case.algorithm]
    keys = joserfc_jwk.KeySet.import_key_set({"keys": case.jwks["keys"]})
    token = joserfc_jwt.decode(case.token, keys, algorithms=algorithms)
    key = joserfc_jwk.import_key(case.jwk)
    return token.claims, joserfc_jwt.encode(case.header, token.claims, key, algorithms=algorithms)


def jwcrypto(case: Case) -> tuple[dict[str, Any], str]:
    keys = jwcrypto_jwk.JWKSet.from_json(json.dumps(case.jwks))
    wanted = {"iss": ISSUER, "aud": AUDIENCE, "exp": None}
    token = jwcrypto_jwt.JWT(
        jwt=case.token, key=keys, algs=[case.algorithm], check_claims=wanted, expected_type="JWS"
    )
    claims: dict[str, Any] = json.loads(token.claims)
    own = jwcrypto_jwt.JWT(header=case.header, claims=claims, algs=[case.algorithm])
    own.make_signed_token(jwcrypto_jwk.JWK(**case.jwk))
    return claims, own.serialize()


@pytest.mark.parametrize("library", [pyjwt, joserfc, jwcrypto], ids=lambda it: it.__name__)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_library_of_python_and_limen_verify_each_others_tokens(
    cases: dict[str, Case], algorithm: str, library: Library
) -> None:
    case = cases[algorithm]
    claims, token = library(case)

    assert claims["user_id"] == case.user_id
    assert token != case.token or algorithm != "ES256"  # the other two sign alike each time
    assert verified_by_limen(case, token) == case.user_id


def test_jose_of_npm_and_limen_verify_each_others_tokens(
    cases: dict[str, Case], tmp_path: Path
) -> None:
    shutil.copytree(JOSE, tmp_path, dirs_exist_ok=True)
    typed("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=tmp_path)
    asked = [
        {
            "algorithm": case.algorithm,
            "token": case.token,
            "jwks": case.jwks,
            "jwk": case.jwk,
            "issuer": ISSUER,
            "audience": AUDIENCE,
        }
        for case in cases.values()
    ]
    told = json.loads(typed("node", "interop.mjs", folder=tmp_path, stdin=json.dumps(asked)))

    assert told.keys() == cases.keys()
    for name, case in cases.items():
        assert told[name]["user_id"] == case.user_id
        assert verified_by_limen(case, told[name]["token"]) == case.user_id


def typed(*words: str, folder: Path, stdin: str = "") -> str:
    ran = subprocess.run(
        words, cwd=folder, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def verified_by_limen(case: Case, token: str) -> str:
    keys = KeySet.from_jwks(case.jwks)
    verifier = Verifier(ISSUER, AUDIENCE, keys=keys, revocations=Revocations(bound=math.inf))
    return verifier.check(token).user_id

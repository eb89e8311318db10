"""Hashes of every scheme: which are read, whose password they are of, what stands in for one."""

import base64
import hashlib
import itertools
import secrets
import time
from functools import cache
from pathlib import Path
from random import Random

import bcrypt
import pytest
from argon2.low_level import Type, hash_secret, verify_secret

from limen.option_kinds import ARGON2_CEILING, Argon2Cost
from limen.stored_hashes import NO_PASSWORD, decoy, fault_of, front_of, matches
from limen.stored_hashes import argon2 as argon2_file
from limen.stored_hashes import bcrypt as bcrypt_file
from limen.stored_hashes import pbkdf2 as pbkdf2_file
from limen.stored_hashes import scrypt as scrypt_file
from limen.stored_hashes.argon2 import argon2_front, argon2_hash

PASSWORD = "correct horse battery"
SALT = "N7pAmRQZlpwwy2kmbcFT7Q"


def base64_of(raw: bytes, *, padded: bool = True) -> str:
    text = base64.b64encode(raw).decode()
    return text if padded else text.rstrip("=")


def argon2(password: str = PASSWORD) -> str:
    made = hash_secret(password.encode(), b"s" * 16, 1, 8, 1, 32, Type.ID)
    return made.decode()


@cache
def a_bcrypt(given: bytes = PASSWORD.encode()) -> str:
    return bcrypt.hashpw(given, bcrypt.gensalt(12)).decode()


def pbkdf2(password: str = PASSWORD, iterations: int = 150_000, salt: str = SALT) -> str:
    made = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), iterations)
    return f"pbkdf2_sha256${iterations}${salt}${base64_of(made)}"


def scrypt(password: str = PASSWORD, n: int = 2**14, r: int = 8, p: int = 1) -> str:
    made = hashlib.scrypt(password.encode(), salt=SALT.encode(), n=n, r=r, p=p, maxmem=2**29)
    return f"scrypt${n}${SALT}${r}${p}${base64_of(made)}"


def phc_scrypt(password: str = PASSWORD, ln: int = 14, r: int = 8, p: int = 1) -> str:
    made = hashlib.scrypt(password.encode(), salt=b"s" * 16, n=2**ln, r=r, p=p, dklen=32)
    parts = base64_of(b"s" * 16, padded=False), base64_of(made, padded=False)
    return f"$scrypt$ln={ln},r={r},p={p}${'$'.join(parts)}"


SHA256 = hashlib.sha256(PASSWORD.encode()).hexdigest().encode()
STORED = {
    "Argon2id": argon2(),
    "bcrypt": a_bcrypt(),
    "Django's Argon2": f"argon2{argon2()}",
    "Django's bcrypt": f"bcrypt${a_bcrypt()}",
    "Django's bcrypt of SHA-256": f"bcrypt_sha256${a_bcrypt(SHA256)}",
    "Django's PBKDF2": pbkdf2(),
    "Django's scrypt": scrypt(),
    "passlib's scrypt": phc_scrypt(),
}
FRONTS = {
    "Argon2id": "$argon2id$v=19$m=8,t=1,p=1$",
    "bcrypt": "$2b$12$",
    "Django's Argon2": "argon2$argon2id$v=19$m=8,t=1,p=1$",
    "Django's bcrypt": "bcrypt$$2b$12$",
    "Django's bcrypt of SHA-256": "bcrypt_sha256$$2b$12$",
    "Django's PBKDF2": "pbkdf2_sha256$150000$",
    "Django's scrypt": "scrypt$16384$8$1$",
    "passlib's scrypt": "$scrypt$ln=14,r=8,p=1$",
}
schemes = pytest.mark.parametrize("scheme", STORED)


@schemes
def test_a_hash_is_of_its_password_alone(scheme: str) -> None:
    assert front_of(STORED[scheme]) == FRONTS[scheme]
    assert fault_of(STORED[scheme]) is None
    assert matches(PASSWORD, STORED[scheme])
    assert not matches(PASSWORD.title(), STORED[scheme])


@schemes
def test_a_decoy_has_its_front_and_is_of_no_password(scheme: str) -> None:
    made = {decoy(FRONTS[scheme]) for _ in range(10)}

    assert len(made) == 10
    assert {front_of(one) for one in made} == {FRONTS[scheme]}
    assert {len(one) for one in made} == {len(STORED[scheme])} or scheme.startswith("Django's")
    assert not matches(PASSWORD, made.pop())


def test_a_decoy_takes_the_time_of_a_hash_with_its_front() -> None:
    """Of each kind of work; the names in front of them change none of it."""
    for scheme in ("bcrypt", "Django's PBKDF2", "Django's scrypt", "passlib's scrypt"):
        cases = {"account": STORED[scheme], "decoy": decoy(FRONTS[scheme])}
        fastest = dict.fromkeys(cases, 1e9)
        for _, (name, stored) in itertools.product(range(3), cases.items()):
            began = time.perf_counter()
            matches("a wrong one", stored)
            fastest[name] = min(fastest[name], time.perf_counter() - began)
        print(scheme, {name: round(1e3 * seconds, 1) for name, seconds in fastest.items()})

        # Without the work, or with other work, it would be a hundredth; noise is less than half.
        assert 0.5 < fastest["decoy"] / fastest["account"] < 2


@schemes
def test_what_others_have_hashed_is_checked_with_the_bytes_as_they_were_typed(scheme: str) -> None:
    typed = "½ a nai\u0308ve ﬁsh"
    sha256 = hashlib.sha256(typed.encode()).hexdigest().encode()
    stored = {
        "Argon2id": argon2(typed),
        "bcrypt": a_bcrypt(typed.encode()),
        "Django's Argon2": f"argon2{argon2(typed)}",
        "Django's bcrypt": f"bcrypt${a_bcrypt(typed.encode())}",
        "Django's bcrypt of SHA-256": f"bcrypt_sha256${a_bcrypt(sha256)}",
        "Django's PBKDF2": pbkdf2(typed),
        "Django's scrypt": scrypt(typed),
        "passlib's scrypt": phc_scrypt(typed),
    }[scheme]

    assert matches(typed, stored)
    assert not matches("½ a naïve fish", stored)


# Argon2 is computed by two libraries


def any_argon2(rng: Random) -> tuple[str, str]:
    """Return a password, and a hash that argon2-cffi has made of it, anyhow."""
    password, lanes = rng.randbytes(rng.randint(0, 40)).hex(), rng.choice([1, 1, 1, 2, 3])
    made = hash_secret(
        password.encode(),
        rng.randbytes(rng.choice([8, 16, 16, 16, 22])),
        time_cost=rng.randint(1, 4),
        memory_cost=rng.randint(8 * lanes, 200),
        parallelism=lanes,
        hash_len=rng.randint(16, 64),
        type=rng.choice([Type.ID, Type.ID, Type.I]),
    )
    return password, made.decode()


def test_both_libraries_compute_the_same() -> None:
    rng = Random(seed := secrets.randbits(32))
    print("seed", seed)
    for password, stored in (any_argon2(rng) for _ in range(300)):
        assert matches(password, stored), stored
        assert not matches(password + "x", stored), stored


def test_what_limen_makes_is_read_by_argon2_cffi() -> None:
    rng = Random(seed := secrets.randbits(32))
    print("seed", seed)
    for _ in range(50):
        cost = Argon2Cost(rng.randint(8, 200), rng.randint(1, 4), 1)
        made = argon2_hash(PASSWORD, cost)
        assert verify_secret(made.encode(), PASSWORD.encode(), Type.ID)
        assert front_of(made) == argon2_front(cost)


def test_the_quicker_library_computes_what_limen_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argon2_file, "hash_secret_raw", None)

    assert matches(PASSWORD, argon2_hash(PASSWORD, Argon2Cost(8, 1, 1)))


@pytest.mark.parametrize("length", [8, 15, 17, 22, 64])
def test_a_salt_for_which_the_other_is_needed_has_a_front_of_its_own(length: int) -> None:
    """The other takes longer, so who has such a hash hides among decoys that need it, too."""
    stored = hash_secret(PASSWORD.encode(), b"s" * length, 1, 8, 1, 32, Type.ID).decode()
    front = front_of(stored)

    assert front == f"{FRONTS['Argon2id']}{length}"
    assert front_of(decoy(front)) == front
    assert len(decoy(front)) == len(stored)
    assert matches(PASSWORD, stored)


# What is not read

PBKDF2, SCRYPT, PHC = pbkdf2(), scrypt(), phc_scrypt()
UNKNOWN = {
    "no password": NO_PASSWORD,
    "unusable in Django": "!" + "x" * 40,
    "unusable in Django, with a hash behind": "!" + PBKDF2,
    "MD5": "md5$RBmc8VPxS7TtnZUsKUzxgW$2e285f5d56e3f6662bd9220d5c865403",
    "PBKDF2 with SHA-1": PBKDF2.replace("_sha256", "_sha1"),
    "PBKDF2 with a zero in front": PBKDF2.replace("$150000$", "$0150000$"),
    "PBKDF2 with a sign": PBKDF2.replace("$150000$", "$+150000$"),
    "PBKDF2 with other digits": PBKDF2.replace("$150000$", "$٢00000$"),
    "PBKDF2 with too many digits": PBKDF2.replace("$150000$", "$" + "9" * 5000 + "$"),
    "PBKDF2 without a salt": PBKDF2.replace(SALT, ""),
    "PBKDF2 with a long salt": PBKDF2.replace(SALT, "s" * 65),
    "PBKDF2 with a part more": PBKDF2 + "$",
    "PBKDF2 cut": PBKDF2[:-2],
    "PBKDF2 with spare bits": PBKDF2[:-2] + "B=",
    "PBKDF2 and a line feed": PBKDF2 + "\n",
    "scrypt without a salt": SCRYPT.replace(SALT, ""),
    "scrypt cut": SCRYPT[:-1],
    "scrypt in another order": f"scrypt${SALT}$16384$8$1${SCRYPT.rpartition('$')[2]}",
    "PHC scrypt padded": PHC + "=",
    "PHC scrypt with spare bits": PHC[:-1] + ("B" if PHC[-1] != "B" else "C"),
    "Argon2 named twice": f"argon2argon2{argon2()}",
    "bcrypt named without a dollar": f"bcrypt{a_bcrypt()}",
    "bcrypt named as PBKDF2": f"pbkdf2_sha256${a_bcrypt()}",
}
OUT_OF_BOUNDS = {
    "PBKDF2 of 2017": PBKDF2.replace("$150000$", "$36000$"),
    "PBKDF2 of one": PBKDF2.replace("$150000$", "$1$"),
    "PBKDF2 just too cheap": PBKDF2.replace("$150000$", "$149999$"),
    "PBKDF2 just too expensive": PBKDF2.replace("$150000$", "$5000001$"),
    "PBKDF2 for an hour": PBKDF2.replace("$150000$", "$9999999999$"),
    "scrypt too cheap": SCRYPT.replace("$16384$", "$8192$"),
    "scrypt with odd N": SCRYPT.replace("$16384$", "$16385$"),
    "scrypt of a TiB": SCRYPT.replace("$16384$", "$1073741824$"),
    "scrypt for ever": SCRYPT.replace("$8$1$", "$8$9999999999$"),
    "scrypt of wide blocks": SCRYPT.replace("$8$1$", "$9999999999$1$"),
    "PHC scrypt too cheap": PHC.replace("ln=14", "ln=13"),
    "PHC scrypt of more than 256 MiB": PHC.replace("ln=14", "ln=19"),
    "PHC scrypt of all there is": PHC.replace("ln=14", "ln=99"),
    "bcrypt in Django, too cheap": f"bcrypt${a_bcrypt().replace('$12$', '$11$')}",
    "bcrypt of SHA-256, too expensive": f"bcrypt_sha256${a_bcrypt().replace('$12$', '$31$')}",
    "Argon2 in Django of 4 GiB": f"argon2{argon2().replace('m=8', 'm=4194304')}",
}


@pytest.mark.parametrize("stored", UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_written_otherwise_has_no_front(stored: str) -> None:
    assert front_of(stored) is None
    assert fault_of(stored) == "unknown"


@pytest.mark.parametrize("stored", OUT_OF_BOUNDS.values(), ids=OUT_OF_BOUNDS)
def test_what_is_out_of_bounds_has_no_front_and_is_not_computed(stored: str) -> None:
    assert front_of(stored) is None
    assert fault_of(stored) == "cost"


BOUNDS = {
    "fewest iterations": PBKDF2,
    "most iterations": PBKDF2.replace("$150000$", "$5000000$"),
    "least scrypt": SCRYPT,
    "most scrypt": SCRYPT.replace("$16384$", "$262144$").replace("$8$1$", "$8$2$"),
    "most memory": PHC.replace("ln=14", "ln=18"),
    "Django 5.2's Argon2": "argon2"
    + argon2().replace("m=8", "m=102400").replace("t=1,p=1", "t=2,p=8"),
    "pwdlib's Argon2": argon2().replace("m=8", "m=65536").replace("t=1,p=1", "t=3,p=4"),
}


@pytest.mark.parametrize("stored", BOUNDS.values(), ids=BOUNDS)
def test_the_bounds_are_within(stored: str) -> None:
    assert front_of(stored) is not None


def test_the_page_has_the_bounds() -> None:
    page = (Path(__file__).parent.parent / "docs" / "passwords.md").read_text("utf-8")
    for number in (pbkdf2_file.ITERATIONS, scrypt_file.WORK):
        assert f"{number[0]:,}" in page
        assert f"{number[-1]:,}" in page
    assert f"cost {bcrypt_file.COSTS[0]} | cost {bcrypt_file.COSTS[-1]} |" in page
    assert f"{scrypt_file.MEMORY_KIB[0] >> 10} MiB" in page
    assert f"{ARGON2_CEILING.memory_kib >> 10} MiB, {ARGON2_CEILING.passes} passes" in page


@pytest.mark.parametrize("stored", [NO_PASSWORD, "$argon2id$garbage", argon2()[:-1] + "="])
def test_what_is_no_hash_at_all_cannot_be_matched(stored: str) -> None:
    with pytest.raises(ValueError, match="no hash"):
        matches(PASSWORD, stored)

"""J10: an empty HMAC key verifies whatever was signed with an empty key.

joserfc CVE-2026-49852 and ruby-jwt CVE-2026-45363 took an unset variable for a key. limen does not
start with such a secret, whichever way it comes in, and no key of it is ever the secret itself.
"""

from pathlib import Path

import pytest

from limen.errors import ConfigurationError
from limen.secret import RootSecret
from limen.settings import Settings

WEAK = [
    "",
    " ",
    "\n",
    ",",
    " " * 64,
    "\0" * 64,
    "secret",
    "changeme",
    "a" * 31,
    "a" * 64,
    "ab" * 32,
    "0" * 32,
    "0123456789" * 4,
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "zyxwvutsrqponmlkjihgfedcba9876543210",
    "aabbccddeeffgghhiijjkkllmmnnoopp",
    "changemechangemechangemechangeme",
    "01001101010111000101101101001011100101101",
    "deadbeefdeaddeefbeadfeedbeefdadafade",
    "Correct-Horse-7Correct-Horse-7Correct-Horse-7",
    "Zk3v9-QmT0xWc7_RyLb2NdHs5FgJpUe",  # random, but of 31 bytes
    "Zk3v9-QmT0xWc7_RyLb2NdHs5FgJpUeA1iXoM4tB6Vw,",  # and an empty one
    "Zk3v9-QmT0xWc7_RyLb2NdHs5FgJpUeA1iXoM4tB6Vw,secret",
    "\ud800" * 32,
]


@pytest.mark.parametrize("secret", WEAK, ids=lambda secret: ascii(secret[:40]))
def test_limen_does_not_start_with_a_weak_secret(secret: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="LIMEN_SECRET: the secret "):
        Settings.from_environment({"LIMEN_SECRET": secret})
    with pytest.raises(ConfigurationError, match="LIMEN_SECRET: the secret "):
        RootSecret.load((secret,), tmp_path)

    file = tmp_path / "secret"
    file.write_bytes(secret.encode(errors="surrogatepass"))
    file.chmod(0o600)
    with pytest.raises(ConfigurationError, match="LIMEN_SECRET_FILE: "):
        Settings.from_environment({"LIMEN_SECRET_FILE": str(file)})
    with pytest.raises(ConfigurationError, match="LIMEN_DATA_DIR: the secret "):
        RootSecret.load(None, tmp_path)


def test_no_secrets_at_all_is_not_a_secret(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        RootSecret.load((), tmp_path)


@pytest.mark.parametrize("purpose", ["", "refresh tokens", "signing keys"])
def test_no_derived_key_is_empty_or_the_secret(purpose: str, tmp_path: Path) -> None:
    secret = "Zk3v9-QmT0xWc7_RyLb2NdHs5FgJpUeA1iXoM4tB6Vw"
    key = RootSecret.load((secret,), tmp_path).derive(purpose)

    assert len(key) == 32
    assert len(set(key)) > 8
    assert key not in secret.encode()

"""J21: secrets from tutorials. Attackers try them first on any token they meet.

Most are made of words, which random secrets are not; the others are listed in
`src/limen/data/well_known_secrets.txt`.
"""

from importlib.resources import files
from pathlib import Path

import pytest

from limen.errors import ConfigurationError
from limen.secret import RootSecret
from limen.settings import Settings

FAMOUS = [
    "secret",
    "your-256-bit-secret",
    "a-string-secret-at-least-256-bits-long",
    "a-string-secret-at-least-512-bits-long",
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # FastAPI's tutorial
    "super-secret-jwt-token-with-at-least-32-characters-long",
    "your-super-secret-jwt-token-with-at-least-32-characters-long",
    "404E635266556A586E3272357538782F413F4428472B4B6250645367566B5970",  # Spring tutorials
    "this-is-a-very-long-string-to-make-sure-it-is-32-characters-long",
    "<random_string_at_least_32_characters_long>",
    "This_Should_be_32_characters_long",
    "django-insecure-x9vhhskds7due4jf0da64sameyxzdqsekf",
    "Replace-Me-With-Something-Really-Random-42",
    "CHANGE_THIS_TO_A_LONG_RANDOM_VALUE_2024!",
]
RANDOM = "Zk3v9-QmT0xWc7_RyLb2NdHs5FgJpUeA1iXoM4tB6Vw"


@pytest.mark.parametrize("secret", FAMOUS, ids=lambda secret: secret[:24])
@pytest.mark.parametrize("form", ["{}", " {} ", "{}\n", RANDOM + ",{}", "{}," + RANDOM])
def test_limen_does_not_start_with_a_well_known_secret(
    secret: str, form: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_environment({"LIMEN_SECRET": form.format(secret)})
    assert secret == "secret" or secret not in str(caught.value)

    file = tmp_path / "secret"
    file.write_text(form.format(secret))
    file.chmod(0o600)
    with pytest.raises(ConfigurationError):
        RootSecret.load(None, tmp_path)


def test_every_listed_secret_is_refused() -> None:
    listed = files("limen").joinpath("data", "well_known_secrets.txt").read_text("ascii")
    known = [line for line in listed.splitlines() if not line.startswith("#")]

    assert len(known) == 9
    for secret in known:
        with pytest.raises(ConfigurationError):
            Settings(secret=(secret,))


def test_a_random_secret_is_not_on_it() -> None:
    assert Settings(secret=(RANDOM,)).secret == (RANDOM,)

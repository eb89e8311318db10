"""Make users.db and users.json with Django itself; README.md says how this was run."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import django  # type: ignore[import-not-found]
from django.conf import settings  # type: ignore[import-not-found]
from django.core.management import call_command  # type: ignore[import-not-found]

HASHERS = ("PBKDF2", "Scrypt", "Argon2", "BCryptSHA256", "BCrypt", "MD5")

# The address, the password, the hasher, and what else differs from a user as anybody has them.
USERS: tuple[tuple[str, str | None, str, dict[str, Any]], ...] = (
    ("ada@example.com", "the analytical engine", "pbkdf2_sha256", {}),
    ("bob@example.com", "bob's own pass phrase", "scrypt", {}),
    ("Grace.Hopper@example.com", "½ a naïve café", "argon2", {}),
    ("linus@example.com", "l" * 72 + " and then some", "bcrypt_sha256", {}),
    ("ken@example.com", "k" * 72 + " and then some", "bcrypt", {}),
    ("uma@example.com", None, "", {}),
    ("dora@example.com", "no longer let in here", "pbkdf2_sha256", {"is_active": False}),
    (
        "root@example.com",
        "not so super secret",
        "pbkdf2_sha256",
        {"is_staff": True, "is_superuser": True},
    ),
    ("mona@example.com", "hashed long ago", "md5", {}),
    ("olga@example.com", "hashed in 2017", "pbkdf2_sha256", {"iterations": 36_000}),
    ("", "somebody without mail", "pbkdf2_sha256", {}),
    ("ADA@example.com", "another ada", "pbkdf2_sha256", {}),
)


def main(folder: Path) -> None:
    settings.configure(
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "users.db"}
        },
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes"],
        PASSWORD_HASHERS=[f"django.contrib.auth.hashers.{name}PasswordHasher" for name in HASHERS],
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    for number, user in enumerate(USERS, start=1):
        create(number, *user)
    dump = folder / "users.json"
    call_command("dumpdata", "auth.user", output=str(dump), verbosity=0)


def create(number: int, email: str, password: str | None, name: str, about: dict[str, Any]) -> None:
    from django.contrib.auth.hashers import (  # type: ignore[import-not-found] # noqa: PLC0415  when it is set up
        get_hasher,
        make_password,
    )
    from django.contrib.auth.models import User  # type: ignore[import-not-found] # noqa: PLC0415

    iterations = about.pop("iterations", None)
    if iterations is None:
        stored = make_password(password, hasher=name or "default")
    else:
        hasher = get_hasher(name)
        stored = hasher.encode(password, hasher.salt(), iterations)
    joined = datetime(2020 + number % 6, number, 15, 12, 30, 45, 678_000, UTC)
    User(username=f"user{number}", email=email, password=stored, date_joined=joined, **about).save()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

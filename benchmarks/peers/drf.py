"""Django REST framework with simplejwt: rotation with the blacklist, which catches a replay.

python drf.py        make the tables and the people; then gunicorn serves `application`
"""

import os
import sys
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import django
from django.conf import settings

sys.path.insert(0, str(Path(__file__).parent))

PASSWORD = "correct horse battery staple"  # noqa: S105  of nobody
PEOPLE = 1000


def _database() -> dict[str, object]:
    url = urlsplit(os.environ["PEER_DATABASE"])
    if url.scheme == "sqlite":
        durable = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
        options = {"init_command": durable, "transaction_mode": "IMMEDIATE", "timeout": 20}
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": url.path, "OPTIONS": options}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": url.path.strip("/"),
        "USER": url.username,
        "HOST": url.hostname,
        "PORT": url.port,
        "CONN_MAX_AGE": None,
    }


_own = (
    {}
    if os.environ.get("PEER_HASH") != "equal"
    else {"PASSWORD_HASHERS": ["drf_hasher.EqualHasher"]}
)
settings.configure(
    SECRET_KEY="5b0a7a5dbf3f4c3a9d1e7c2f8a6b4d90" * 2,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF="drf_urls",
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],  # gives answers their length
    USE_TZ=True,
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=[
        "django.contrib.contenttypes",
        "django.contrib.auth",
        "rest_framework",
        "rest_framework_simplejwt.token_blacklist",
    ],
    DATABASES={"default": _database()},
    REST_FRAMEWORK={
        "DEFAULT_AUTHENTICATION_CLASSES": [
            "rest_framework_simplejwt.authentication.JWTAuthentication"
        ],
        "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    },
    SIMPLE_JWT={
        "ROTATE_REFRESH_TOKENS": True,
        "BLACKLIST_AFTER_ROTATION": True,
        "ACCESS_TOKEN_LIFETIME": timedelta(minutes=30),
        "REFRESH_TOKEN_LIFETIME": timedelta(days=7),
    },
    **_own,
)
django.setup()


def prepare() -> None:
    """Make the tables and the people, all with one stored hash."""
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import User
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    stored = make_password(PASSWORD)
    User.objects.bulk_create(
        User(username=f"person{n}@example.com", password=stored) for n in range(PEOPLE)
    )


if __name__ == "__main__":
    prepare()
else:
    from django.core.wsgi import get_wsgi_application

    application = get_wsgi_application()

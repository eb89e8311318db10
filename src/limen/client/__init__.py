"""limen.client: stay signed in to a limen, as a good client does.

    from limen.client import FileStore, LimenAuth

    auth = LimenAuth("https://login.example.com", store=FileStore("~/.config/app/session"))
    httpx2.get("https://login.example.com/api/v1/auth/me", auth=auth)

`docs/clients.md` has the rules; `keeper` is where they are kept.
"""

from limen.client.auth import LimenAuth
from limen.client.errors import (
    ClientError,
    LimenUnavailable,
    LogoutUnconfirmed,
    NotSignedIn,
    SignedOut,
    SignInRefused,
    StoreUnusable,
    TooManySignIns,
    UnexpectedAnswer,
)
from limen.client.file_store import FileStore
from limen.client.stores import Kept, MemoryStore, Release, Store, Tokens

__all__ = [
    "ClientError",
    "FileStore",
    "Kept",
    "LimenAuth",
    "LimenUnavailable",
    "LogoutUnconfirmed",
    "MemoryStore",
    "NotSignedIn",
    "Release",
    "SignInRefused",
    "SignedOut",
    "Store",
    "StoreUnusable",
    "Tokens",
    "TooManySignIns",
    "UnexpectedAnswer",
]

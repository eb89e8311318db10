"""limen.client: stay signed in to a limen, as a good client does.

    from limen.client import FileStore, LimenAuth

    auth = LimenAuth("https://login.example.com", store=FileStore("~/.config/app/session"))
    httpx2.get("https://login.example.com/api/v1/auth/me", auth=auth)

`docs/clients.md` has the rules; `keeper` is where they are kept.
"""

from typing import TYPE_CHECKING

from limen.client.auth import LimenAuth
from limen.client.errors import (
    ClientError,
    LimenUnavailable,
    NotSignedIn,
    SignedOut,
    SignInRefused,
    SignOutUnconfirmed,
    StoreUnusable,
    TooManySignIns,
    UnexpectedAnswer,
)
from limen.client.stores import Kept, MemoryStore, Release, Store, Tokens

if TYPE_CHECKING:
    from limen.client.file_store import FileStore

__all__ = [
    "ClientError",
    "FileStore",
    "Kept",
    "LimenAuth",
    "LimenUnavailable",
    "MemoryStore",
    "NotSignedIn",
    "Release",
    "SignInRefused",
    "SignOutUnconfirmed",
    "SignedOut",
    "Store",
    "StoreUnusable",
    "Tokens",
    "TooManySignIns",
    "UnexpectedAnswer",
]


def __getattr__(name: str) -> object:
    if name == "FileStore":
        from limen.client.file_store import FileStore  # noqa: PLC0415  there is none on Windows

        return FileStore
    raise AttributeError(f"module 'limen.client' has no attribute {name!r}")

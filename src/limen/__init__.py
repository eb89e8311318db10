"""limen: the login of an application.

`from limen import Limen` gives the assembled server (it needs `limen[server]`);
`import limen.verify` alone stays light: no database, no web framework.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from limen.limen import Limen
    from limen.settings import Settings

__all__ = ["Limen", "Settings", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "Limen":
        from limen.limen import Limen  # noqa: PLC0415  importing the server must wait until asked

        return Limen
    if name == "Settings":
        from limen.settings import Settings  # noqa: PLC0415

        return Settings
    raise AttributeError(f"module 'limen' has no attribute {name!r}")

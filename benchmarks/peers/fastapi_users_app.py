"""fastapi-users as its documentation has it: SQLAlchemy, Bearer transport, JWT strategy."""

import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi_users import BaseUserManager, FastAPIUsers, UUIDIDMixin
from fastapi_users.authentication import AuthenticationBackend, BearerTransport, JWTStrategy
from fastapi_users.password import PasswordHelper
from fastapi_users_db_sqlalchemy import SQLAlchemyBaseUserTableUUID, SQLAlchemyUserDatabase
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import event, insert
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

SECRET = "5b0a7a5dbf3f4c3a9d1e7c2f8a6b4d90" * 2
PASSWORD = "correct horse battery staple"  # noqa: S105  of nobody
PEOPLE = 1000

_EQUAL = PasswordHash((Argon2Hasher(memory_cost=19456, time_cost=2, parallelism=1),))
helper = PasswordHelper(_EQUAL) if os.environ.get("PEER_HASH") == "equal" else PasswordHelper()

# A session for each client: with the default pool of fifteen, sixty-four of them wait in vain.
engine = create_async_engine(os.environ["PEER_DATABASE"], pool_size=100)
sessions = async_sessionmaker(engine, expire_on_commit=False)


@event.listens_for(engine.sync_engine, "connect")
def _as_durable_as_limen(connection, _record):
    if engine.dialect.name == "sqlite":
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):
    pass


class Manager(UUIDIDMixin, BaseUserManager[User, uuid.UUID]):
    reset_password_token_secret = SECRET
    verification_token_secret = SECRET


async def database() -> AsyncIterator[SQLAlchemyUserDatabase]:
    async with sessions() as session:
        yield SQLAlchemyUserDatabase(session, User)


async def manager(users: Annotated[SQLAlchemyUserDatabase, Depends(database)]):
    yield Manager(users, helper)


backend = AuthenticationBackend(
    name="jwt",
    transport=BearerTransport(tokenUrl="token"),
    get_strategy=lambda: JWTStrategy(secret=SECRET, lifetime_seconds=1800),
)
users = FastAPIUsers[User, uuid.UUID](manager, [backend])
current_user = users.current_user(active=True)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with sessions() as session:
        await _fill(session)
    yield
    await engine.dispose()


async def _fill(session: AsyncSession) -> None:
    stored = helper.hash(PASSWORD)
    rows = [
        {"id": uuid.uuid4(), "email": f"person{n}@example.com", "hashed_password": stored}
        for n in range(PEOPLE)
    ]
    flags = {"is_active": True, "is_superuser": False, "is_verified": True}
    await session.execute(insert(User), [row | flags for row in rows])
    await session.commit()


app = FastAPI(lifespan=lifespan)
app.include_router(users.get_auth_router(backend))


@app.get("/orders")
async def orders(user: Annotated[User, Depends(current_user)]) -> dict[str, str]:
    return {"orders of": str(user.id)}

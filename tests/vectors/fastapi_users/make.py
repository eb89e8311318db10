"""Make users.db with fastapi-users itself; README.md says how this was run."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi_users import BaseUserManager, UUIDIDMixin, schemas  # type: ignore[import-not-found]
from fastapi_users.db import SQLAlchemyBaseUserTableUUID  # type: ignore[import-not-found]
from fastapi_users.password import PasswordHelper  # type: ignore[import-not-found]
from fastapi_users_db_sqlalchemy import SQLAlchemyUserDatabase  # type: ignore[import-not-found]
from pwdlib import PasswordHash  # type: ignore[import-not-found]
from pwdlib.hashers.bcrypt import BcryptHasher  # type: ignore[import-not-found]
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase

USERS = {
    "ada@example.com": ("the analytical engine", {"is_verified": True}),
    "bob@example.com": ("bob's own pass phrase", {"bcrypt": True}),
    "Grace.Hopper@example.com": ("½ a naïve café", {}),
    "root@example.com": ("not so super secret", {"is_superuser": True, "is_verified": True}),
    "dora@example.com": ("no longer let in here", {"is_active": False}),
}


class Base(DeclarativeBase):
    pass


class User(SQLAlchemyBaseUserTableUUID, Base):  # type: ignore[misc]
    pass


class UserManager(UUIDIDMixin, BaseUserManager):  # type: ignore[misc]
    pass


class UserCreate(schemas.BaseUserCreate):  # type: ignore[misc]
    pass


@contextlib.asynccontextmanager
async def database(path: Path) -> AsyncIterator[AsyncSession]:
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with AsyncSession(engine, expire_on_commit=False) as session:
        yield session
    await engine.dispose()


async def main(path: Path) -> None:
    async with database(path) as session:
        for email, (password, about) in USERS.items():
            helper = PasswordHelper()
            if about.pop("bcrypt", False):  # what fastapi-users made before version 13
                helper = PasswordHelper(PasswordHash((BcryptHasher(),)))
            manager = UserManager(SQLAlchemyUserDatabase(session, User), helper)
            await manager.create(UserCreate(email=email, password=password, **about))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

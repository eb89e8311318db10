"""The shape of FastAPI's security tutorial: PyJWT, HS256, people in a dictionary, two dependencies.

What the tutorial has no opinion on is left as it is: there is no refresh, no revocation, no limit,
and the password is hashed on the event loop, since its handler is `async def`.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Annotated

import jwt
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import BaseModel

SECRET = "5b0a7a5dbf3f4c3a9d1e7c2f8a6b4d90" * 2
PASSWORD = "correct horse battery staple"  # noqa: S105  of nobody
PEOPLE = 1000

_EQUAL = PasswordHash((Argon2Hasher(memory_cost=19456, time_cost=2, parallelism=1),))
passwords = _EQUAL if os.environ.get("PEER_HASH") == "equal" else PasswordHash.recommended()
_stored = passwords.hash(PASSWORD)


class User(BaseModel):
    username: str
    disabled: bool = False


class StoredUser(User):
    hashed_password: str


class Token(BaseModel):
    access_token: str
    token_type: str


people = {
    name: {"username": name, "hashed_password": _stored}
    for name in (f"person{n}@example.com" for n in range(PEOPLE))
}
scheme = OAuth2PasswordBearer(tokenUrl="token")
app = FastAPI()


def _user(username: str) -> StoredUser | None:
    return StoredUser(**people[username]) if username in people else None


async def current_user(token: Annotated[str, Depends(scheme)]) -> StoredUser:
    refusal = HTTPException(401, "Not signed in", {"WWW-Authenticate": "Bearer"})
    try:
        username = jwt.decode(token, SECRET, algorithms=["HS256"]).get("sub")
    except jwt.InvalidTokenError:
        raise refusal from None
    if username is None or (user := _user(username)) is None:
        raise refusal
    return user


async def current_active_user(user: Annotated[User, Depends(current_user)]) -> User:
    if user.disabled:
        raise HTTPException(400, "Inactive")
    return user


@app.post("/token")
async def login(form: Annotated[OAuth2PasswordRequestForm, Depends()]) -> Token:
    user = _user(form.username)
    if user is None or not passwords.verify(form.password, user.hashed_password):
        raise HTTPException(401, "Wrong", {"WWW-Authenticate": "Bearer"})
    claims = {"sub": user.username, "exp": datetime.now(UTC) + timedelta(minutes=30)}
    return Token(access_token=jwt.encode(claims, SECRET, "HS256"), token_type="bearer")  # noqa: S106


@app.get("/orders")
async def orders(user: Annotated[User, Depends(current_active_user)]) -> dict[str, str]:
    return {"orders of": user.username}

"""A program that uses a FileStore: `python -m tests.client.program URL FILE TIMES`.

It calls /me so many times. Its clock moves an hour with every look, so each call needs a refresh.
"""

import sys
from itertools import count

import httpx2

from limen.client import FileStore, LimenAuth


def main(url: str, file: str, times: str) -> None:
    hours = count(0, 3600)
    auth = LimenAuth(url, store=FileStore(file), clock=lambda: float(next(hours)))
    with httpx2.Client(auth=auth, trust_env=False, timeout=60) as client:
        for _ in range(int(times)):
            print(client.get(f"{url}/api/v1/auth/me").status_code, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

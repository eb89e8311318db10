"""A command-line program whose user signs in once and stays signed in.

    python -m examples.orders sign-in ada@example.com
    python -m examples.orders list
    python -m examples.orders sign-out

The session stands in a file that only its user can read, and that many copies of this program may
use at once. LIMEN_URL and ORDERS_URL say where limen and the service are.
"""

import argparse
import getpass
import os
import sys
from pathlib import Path

import httpx2

from limen.client import ClientError, FileStore, LimenAuth

LIMEN = os.environ.get("LIMEN_URL", "http://localhost:8000")
ORDERS = os.environ.get("ORDERS_URL", "http://localhost:8001")
SESSION = Path(os.environ.get("ORDERS_SESSION", "~/.config/orders/session")).expanduser()


def main() -> None:
    parser = argparse.ArgumentParser(prog="orders", description="Your orders.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("sign-in").add_argument("email")
    commands.add_parser("list")
    commands.add_parser("sign-out")
    arguments = parser.parse_args()

    auth = LimenAuth(LIMEN, store=FileStore(SESSION), send_to=[ORDERS])
    try:
        match arguments.command:
            case "sign-in":
                auth.sign_in(arguments.email, password())
            case "list":
                print(httpx2.get(f"{ORDERS}/orders", auth=auth).raise_for_status().json())
            case _:
                auth.sign_out()
    except ClientError as error:
        sys.exit(f"orders: {error}")


def password() -> str:
    """Ask for it, or take it from a pipe: an argument would stand in the list of processes."""
    return getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")


if __name__ == "__main__":
    main()

"""The databases of the machines, which cannot ask for fixtures themselves."""

import pytest

from tests.postgresql import Databases
from tests.stateful.machine import OnPostgreSQL


@pytest.fixture(scope="session", autouse=True)
def databases(postgresql: Databases) -> None:
    OnPostgreSQL.databases = postgresql

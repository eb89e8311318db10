"""The soak is started by hand, so that it starts is tried here."""

import subprocess
import sys

PROGRAM = """
import sys
import tests.soak
sys.exit("anyio" in sys.modules)
"""


def test_pytest_is_the_first_to_import_what_it_rewrites() -> None:
    """It warns otherwise, and warnings are errors: the soak would end before it has begun."""
    assert subprocess.run([sys.executable, "-c", PROGRAM], check=False).returncode == 0

"""`python -m limen` is the command `limen`."""

from limen.cli import main

main()

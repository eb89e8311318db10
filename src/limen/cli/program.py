"""The command `limen`, put together."""

import click

from limen import __version__
from limen.cli.audit import audit
from limen.cli.calibrate import calibrate
from limen.cli.clients import clients
from limen.cli.commands import Program
from limen.cli.config import config
from limen.cli.doctor import doctor
from limen.cli.erasure import erase
from limen.cli.explain import explain
from limen.cli.invitations import invite
from limen.cli.keys import keys
from limen.cli.mail import mail
from limen.cli.migrate import migrate
from limen.cli.passwords import passwords
from limen.cli.probe import probe
from limen.cli.serve import serve
from limen.cli.token import token
from limen.cli.transfer import export, import_
from limen.cli.user_changes import CHANGES
from limen.cli.users import users
from limen.cli.version import version
from limen.cli.webhooks import webhooks

users.add_command(invite)
users.add_command(erase)

COMMANDS = (
    *(serve, users, passwords, keys, clients, mail, webhooks, audit, explain),
    *(migrate, doctor, config, calibrate, token, probe, version),
)


@click.group("limen", cls=Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="limen %(version)s", help="Show the version and exit.")
def limen() -> None:
    """The login of your application.

    Settings are LIMEN_* environment variables; 'limen config show' lists them. Passwords and
    tokens are asked for, or read from standard input: no option takes one.

    Every command takes --json: then it prints exactly one JSON document on standard output, and
    an error as {"error": {"code", "detail"}} on standard error. Exit codes: 0 done, 1 failed,
    2 wrongly called, 78 wrongly configured.
    """


for change in CHANGES:
    users.add_command(change)
users.add_command(import_)
users.add_command(export)
for command in COMMANDS:
    limen.add_command(command)

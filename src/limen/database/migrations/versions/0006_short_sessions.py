"""Sessions in less room: what names them is 128 bits, on PostgreSQL in 16 bytes each.

Nobody is signed out: the digest of a session's secret is shortened to its first half, which is what
it is looked up by from now on. On PostgreSQL the table and its indexes are written anew, and nobody
can use it meanwhile. A limen of before cannot refresh sessions afterwards: it is stopped first.
"""

import base64
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_FIRST_HALF = """
    encode(substr(decode(translate(fid_hash, '-_', '+/') || '=', 'base64'), 1, 16), 'hex')::uuid
"""


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE sessions SET (fillfactor = 90)")
        op.execute(
            f"ALTER TABLE sessions ALTER COLUMN fid_hash TYPE uuid USING {_FIRST_HALF},"
            " ALTER COLUMN sid TYPE uuid USING sid::uuid"
        )
        return
    driver: Any = op.get_bind().connection.driver_connection
    driver.create_function("first_half", 1, _first_half, deterministic=True)
    op.execute("UPDATE sessions SET fid_hash = first_half(fid_hash)")
    with op.batch_alter_table("sessions") as sessions:
        sessions.alter_column("fid_hash", type_=sa.String(length=32))


def _first_half(fid_hash: str) -> str:
    return base64.urlsafe_b64decode(f"{fid_hash}=").hex()[:32]

"""Who sweeps, and room for updates in place.

On PostgreSQL a page keeps some room from now on, so that an update finds its place beside the row
it replaces; pages that are full already get it as they are used. No row is rewritten, and nobody
is kept from reading or writing: the tables are locked against other changes of their shape only.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sweeps",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("walked_to", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=32), nullable=False),
        sa.Column("held_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sweeps")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "ALTER TABLE sessions SET (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02)"
        )
        op.execute(
            "ALTER TABLE rate_limits SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)"
        )

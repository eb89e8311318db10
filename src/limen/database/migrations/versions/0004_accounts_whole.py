"""What accounts need for their whole life: codes, the outbox, the audit trail, webhooks."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


# Whose scope has the word "admin".
ADMINISTRATORS = sa.text("replace(' ' || scope || ' ', ' admin ', '') <> ' ' || scope || ' '")


def upgrade() -> None:
    _columns()
    op.create_index(
        "ix_accounts_administrators",
        "accounts",
        ["user_id"],
        sqlite_where=ADMINISTRATORS,
        postgresql_where=ADMINISTRATORS,
    )
    _codes()
    _outbox()
    _audit()
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("url", sa.String(length=1024), nullable=False),
        sa.Column("kinds", sa.String(length=1024), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in ("outbox", "audit_head"):
            op.execute(
                f"ALTER TABLE {table} SET (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02)"
            )
        op.execute("ALTER TABLE audit_pending SET (autovacuum_vacuum_scale_factor = 0.02)")
        # Builds its unique index anew, in the order of code points, which a search by prefix needs.
        op.execute('ALTER TABLE accounts ALTER COLUMN email_key TYPE VARCHAR(320) COLLATE "C"')


def _columns() -> None:
    for column in (
        sa.Column("verified_at", sa.BigInteger(), nullable=True),
        sa.Column("roles", sa.String(length=1024), nullable=False, server_default=""),
        sa.Column("failures", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("reset_required_at", sa.BigInteger(), nullable=True),
    ):
        op.add_column("accounts", column)
    op.add_column("sessions", sa.Column("device", sa.String(length=64), nullable=True))
    op.add_column("sessions", sa.Column("address", sa.String(length=45), nullable=True))


def _codes() -> None:
    op.create_table(
        "codes",
        sa.Column("token_hash", sa.String(length=43), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("digits_hash", sa.String(length=43), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("email_key", sa.String(length=320), nullable=False),
        sa.Column("cv", sa.Integer(), nullable=False),
        sa.Column("tries", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["accounts.user_id"], name=op.f("fk_codes_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_codes")),
        sa.UniqueConstraint("user_id", "purpose", name=op.f("uq_codes_user_id_purpose")),
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=48), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=True),
        sa.Column("target", sa.String(length=32), nullable=True),
        sa.Column("sealed", sa.LargeBinary(), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("finished_at", sa.BigInteger(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("answer", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_index(op.f("ix_outbox_due_at"), "outbox", ["due_at"])
    op.create_index(op.f("ix_outbox_user_id"), "outbox", ["user_id"])


def _audit() -> None:
    op.create_table(
        "audit_pending",
        sa.Column("id", sa.String(length=32), nullable=False),
        *_entry(),
        sa.Column("mac", sa.String(length=43), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_pending")),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        *_entry(),
        sa.Column("digest", sa.String(length=43), nullable=False),
        sa.Column("mac", sa.String(length=43), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_audit")),
    )
    op.create_index(op.f("ix_audit_user_id_seq"), "audit", ["user_id", "seq"])
    op.create_index(op.f("ix_audit_kind_seq"), "audit", ["kind", "seq"])
    op.create_index(op.f("ix_audit_at"), "audit", ["at"])
    _partial("ix_audit_sid", ["sid"], "sid IS NOT NULL")
    _partial("ix_audit_actor_seq", ["actor", "seq"], "actor LIKE 'account:%'")
    op.create_table(
        "audit_head",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=43), nullable=False),
        sa.Column("mac", sa.String(length=43), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_head_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_head")),
    )
    op.execute("INSERT INTO audit_head (id, seq, digest, mac) VALUES (1, 0, '', '')")


def _partial(name: str, columns: list[str], which: str) -> None:
    where = sa.text(which)
    op.create_index(op.f(name), "audit", columns, postgresql_where=where, sqlite_where=where)


def _entry() -> "list[sa.Column[Any]]":
    return [
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=32), nullable=False),
        sa.Column("user_id", sa.String(length=32), nullable=True),
        sa.Column("sid", sa.String(length=32), nullable=True),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("personal", sa.String(), nullable=True),
        sa.Column("commitment", sa.String(length=43), nullable=False),
    ]

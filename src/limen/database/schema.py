"""The tables. Everything limen remembers is here.

    accounts       one row an account
    sessions       one row a session, never one a token
    revocations    what access tokens must be refused, in the order it was decided
    rate_limits    the moments of the last attempts, one row a bucket
    signing_keys   the keys that sign access tokens, private parts sealed
    sweeps         who removes the expired rows of each table, and how far he has come
    api_clients    services that may ask about tokens, each with the digest of its secret
    codes          what was sent by mail to prove a mailbox: one row a purpose, digests only
    outbox         what must leave the house: mail, webhooks, and requests that are worked off later
    audit          the trail: what happened, in order, each entry bound to the one before
    audit_pending  what has just happened, and is bound into the trail within about a second
    audit_head     where the trail ends
    webhooks       who is told of what happens
    blocked_passwords  what nobody may choose: eight bytes of the SHA-1 of each

All times are whole microseconds since the Unix epoch, but for `revocations.expires_at`, which is
compared with the `exp` of tokens and counts seconds like them. Constraints are named, so that
later migrations can change them on every database.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    UniqueConstraint,
    text,
)

from limen.database.hex128 import HEX128

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# In the order of code points on both databases, whatever language PostgreSQL was set up in, so that
# the addresses that begin alike are a range of the index.
_EMAIL_KEY = String(320).with_variant(String(320, collation="C"), "postgresql")

# Whose scope has the word "admin". Few have, so an index of these few finds them at once.
ADMINISTRATORS = text("replace(' ' || scope || ' ', ' admin ', '') <> ' ' || scope || ' '")

accounts = Table(
    "accounts",
    metadata,
    Column("user_id", String(32), primary_key=True),
    Column("email", String(320), nullable=False),
    Column("email_key", _EMAIL_KEY, nullable=False, unique=True),
    Column("password_hash", String(512), nullable=False),
    Column("cv", Integer, nullable=False),
    Column("scope", String(1024), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
    Column("verified_at", BigInteger),
    Column("roles", String(1024), nullable=False, server_default=""),
    # Wrong passwords in a row, and since when only a code by mail lets the owner in again.
    Column("failures", Integer, nullable=False, server_default="0"),
    Column("reset_required_at", BigInteger),
    Index(
        "ix_accounts_administrators",
        "user_id",
        sqlite_where=ADMINISTRATORS,
        postgresql_where=ADMINISTRATORS,
    ),
)

# What is updated all the time keeps room in its pages on PostgreSQL. Only immutable columns are
# indexed, so an update that finds room beside the row it replaces touches no index (HOT), and what
# it leaves dead goes at the next look at the page. Dead rows of a big table are vacuumed when they
# are two in a hundred; PostgreSQL itself would wait for twenty.
_UPDATED = {"autovacuum_vacuum_scale_factor": 0.02}
_SESSIONS = {"fillfactor": 90, **_UPDATED}
_RATE_LIMITS = {"fillfactor": 50, **_UPDATED}  # few rows, each updated at once and again

sessions = Table(
    "sessions",
    metadata,
    Column("fid_hash", HEX128, primary_key=True),
    Column("sid", HEX128, nullable=False, unique=True),
    Column("user_id", ForeignKey("accounts.user_id", ondelete="CASCADE"), nullable=False),
    Column("cv", Integer, nullable=False),
    Column("gen", BigInteger, nullable=False),
    Column("retry_key", String(43)),
    Column("confirmed", SmallInteger, nullable=False),
    Column("handed_at", BigInteger, nullable=False),
    Column("rotated_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("abs_exp", BigInteger, nullable=False),
    Column("ended_at", BigInteger),
    Column("end_reason", String(32)),
    Column("outcome", SmallInteger, nullable=False),
    Column("device", String(64)),
    Column("address", String(45)),
    Index(None, "user_id"),
    postgresql_with=_SESSIONS,
)

revocations = Table(
    "revocations",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("value", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

# One row. Counting in a row that the transaction holds makes the order of `seq` the order of the
# commits; a database sequence would not.
revocation_counter = Table(
    "revocation_counter",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="one_row"),
)

rate_limits = Table(
    "rate_limits",
    metadata,
    Column("bucket", String(64), primary_key=True),
    Column("stamps", String, nullable=False),
    Column("quota", Integer, nullable=False),
    Column("period", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    postgresql_with=_RATE_LIMITS,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("algorithm", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("signs_from", BigInteger, nullable=False),
    Column("retires_at", BigInteger),
)

# A row is made when its table is first swept.
sweeps = Table(
    "sweeps",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("walked_to", String(64), nullable=False),
    Column("holder", String(32), nullable=False),
    Column("held_at", BigInteger, nullable=False),
)

api_clients = Table(
    "api_clients",
    metadata,
    Column("client_id", String(32), primary_key=True),
    Column("name", String(64), nullable=False),
    Column("secret_hash", String(43), nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

# One living code a purpose: a newer one takes the row of the older.
codes = Table(
    "codes",
    metadata,
    Column("token_hash", String(43), primary_key=True),
    Column("user_id", ForeignKey("accounts.user_id", ondelete="CASCADE"), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("digits_hash", String(43), nullable=False),
    Column("email", String(320), nullable=False),
    Column("email_key", String(320), nullable=False),
    Column("cv", Integer, nullable=False),
    Column("tries", SmallInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    UniqueConstraint("user_id", "purpose"),
)

# `due_at` is NULL once there is nothing left to do; the row is then the record of what was done.
outbox = Table(
    "outbox",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("subject", String(48), nullable=False),
    Column("user_id", String(32)),
    Column("target", String(32)),
    Column("sealed", LargeBinary),
    Column("attempts", SmallInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger),
    Column("finished_at", BigInteger),
    Column("outcome", String(16), nullable=False),
    Column("answer", String(200)),
    Index(None, "due_at"),
    Index(None, "user_id"),
    postgresql_with=_RATE_LIMITS,
)


def _entry() -> tuple[Column[Any], ...]:
    return (
        Column("at", BigInteger, nullable=False),
        Column("kind", String(32), nullable=False),
        Column("outcome", String(32), nullable=False),
        Column("user_id", String(32)),
        Column("sid", String(32)),
        Column("actor", String(64), nullable=False),
        Column("detail", String, nullable=False),
        Column("personal", String),
        Column("commitment", String(43), nullable=False),
    )


audit_pending = Table(
    "audit_pending",
    metadata,
    Column("id", String(32), primary_key=True),
    *_entry(),
    Column("mac", String(43), nullable=False),
    postgresql_with=_UPDATED,
)

# Most entries are of no session, and are made by nobody who had signed in: these are not indexed.
_OF_SESSION, _BY_ACCOUNT = text("sid IS NOT NULL"), text("actor LIKE 'account:%'")

audit = Table(
    "audit",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    *_entry(),
    Column("digest", String(43), nullable=False),
    Column("mac", String(43), nullable=False),
    Index(None, "user_id", "seq"),
    Index(None, "kind", "seq"),
    Index(None, "at"),
    Index(None, "sid", postgresql_where=_OF_SESSION, sqlite_where=_OF_SESSION),
    Index(None, "actor", "seq", postgresql_where=_BY_ACCOUNT, sqlite_where=_BY_ACCOUNT),
)

# One row, which whoever binds entries into the trail holds until he commits.
audit_head = Table(
    "audit_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("digest", String(43), nullable=False),
    Column("mac", String(43), nullable=False),
    CheckConstraint("id = 1", name="one_row"),
    postgresql_with=_RATE_LIMITS,
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("url", String(1024), nullable=False),
    Column("kinds", String(1024), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("disabled_at", BigInteger),
)

# SQLite's own key of a row, if it is called INTEGER: no index beside the table.
blocked_passwords = Table(
    "blocked_passwords",
    metadata,
    Column(
        "digest",
        BigInteger().with_variant(Integer(), "sqlite"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("added_at", BigInteger, nullable=False),
)

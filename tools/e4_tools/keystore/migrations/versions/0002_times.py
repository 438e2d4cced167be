"""Give times 64 bits on a PostgreSQL server, where an Integer has 32 bits and times would end in 2038.

An Integer of SQLite has 64 bits already.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIMES = (
    ("meta", "made_at", False),
    ("clients", "added_at", False),
    ("id_keys", "since", False),
    ("topics", "added_at", False),
    ("topics", "rotated_at", True),
    ("grants", "granted_at", False),
    ("grants", "sent_at", True),
    ("outbox", "queued_at", False),
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        return
    for table, column, nullable in _TIMES:
        op.alter_column(table, column, type_=sa.BigInteger, existing_type=sa.Integer, existing_nullable=nullable)
    op.alter_column("outbox", "seq", type_=sa.BigInteger, existing_type=sa.Integer, existing_nullable=False)

"""The first schema of the key store."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "meta",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("made_at", sa.Integer, nullable=False),
        sa.Column("lock_kind", sa.String(16), nullable=False),
        sa.Column("lock_salt", sa.LargeBinary, nullable=False),
        sa.Column("lock_cost", sa.Integer, nullable=False),
        sa.Column("wrapped_key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(255), nullable=False, unique=True),
        sa.Column("receiving_topic", sa.String(512), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("added_at", sa.Integer, nullable=False),
    )
    op.create_table(
        "id_keys",
        sa.Column("uid", sa.String(32), primary_key=True),
        sa.Column("client_id", sa.String(32), sa.ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.Integer, nullable=False),
        sa.Column("key", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "topics",
        sa.Column("hash", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(512), nullable=False, unique=True),
        sa.Column("added_at", sa.Integer, nullable=False),
        sa.Column("rotated_at", sa.Integer),
        sa.Column("key", sa.LargeBinary, nullable=False),
        sa.Column("previous_key", sa.LargeBinary),
    )
    _create_relations()


def _create_relations() -> None:
    client = sa.ForeignKey("clients.id", ondelete="CASCADE")
    op.create_table(
        "grants",
        sa.Column("client_id", sa.String(32), client, primary_key=True),
        sa.Column("topic_hash", sa.String(32), sa.ForeignKey("topics.hash", ondelete="CASCADE"), primary_key=True),
        sa.Column("granted_at", sa.Integer, nullable=False),
        sa.Column("sent_at", sa.Integer),
    )
    op.create_table(
        "outbox",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("client_id", sa.String(32), sa.ForeignKey("clients.id", ondelete="CASCADE"), nullable=False),
        sa.Column("opcode", sa.Integer, nullable=False),
        sa.Column("topic_hash", sa.String(32)),
        sa.Column("queued_at", sa.Integer, nullable=False),
        sa.Column("failure", sa.String(255)),
        sa.Column("command", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_id_keys_client_id", "id_keys", ["client_id"])
    op.create_index("ix_outbox_client_id", "outbox", ["client_id"])

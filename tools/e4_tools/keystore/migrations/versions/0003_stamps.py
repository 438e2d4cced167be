"""Keep the timestamp of the last command of each client, and whether a former client may know the key of a topic."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    time = sa.Integer if op.get_bind().dialect.name == "sqlite" else sa.BigInteger
    # Of the commands that were sent before, the store knows no timestamp.
    op.add_column("clients", sa.Column("stamp", time, nullable=False, server_default="0"))
    op.add_column("clients", sa.Column("marks", sa.String))
    op.add_column("topics", sa.Column("exposed", sa.Boolean, nullable=False, server_default=sa.false()))

"""What alembic runs around the migrations: they take place in the transaction of the connection handed in."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()

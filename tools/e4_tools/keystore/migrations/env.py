"""What alembic runs to apply the migrations. It uses the connection, and so the transaction, of the caller."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
with context.begin_transaction():
    context.run_migrations()

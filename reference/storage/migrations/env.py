"""What alembic runs; the connection, and the transaction around everything, are `reference.storage.migrations.upgrade`'s."""

from __future__ import annotations

from alembic import context

from reference.storage import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite can, once the driver does not stand in the way
    transaction_per_migration=False,
)
with context.begin_transaction():
    context.run_migrations()

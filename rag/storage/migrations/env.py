"""How Alembic gets to the catalog: by the connection that it is handed over, within a transaction that is open."""

from alembic import context

from rag.storage.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()

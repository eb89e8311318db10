"""Alembic's entry: runs the migrations on the connection that `limen.database.migrate` holds."""

from alembic import context

from limen.database.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()

"""Alembic's entry point for ``events.sqlite``, on `service.stores.event_database`'s connection."""

from alembic import context

from service.stores.event_schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

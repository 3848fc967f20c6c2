"""Environment of Alembic: runs revisions on the connection that `upgrade` passes.

The connection has begun its transaction, so that all revisions are committed together or not at
all.
"""

from __future__ import annotations

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transactional_ddl=True,
    render_as_batch=True,
)
context.run_migrations()

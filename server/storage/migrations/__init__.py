"""Migrations of the database by Alembic: `env.py` runs the revisions in `versions/`."""

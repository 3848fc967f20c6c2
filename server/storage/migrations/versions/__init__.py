"""Revisions of the database, in the order that `down_revision` says."""

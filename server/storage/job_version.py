"""Version of jobs: what a server has to know to make one as it was asked for.

A job is made by servers of the version that accepted it, or of a later one. While two versions run
on one database, in an upgrade, an earlier server so leaves alone what it would make without
something that it does not know, such as a new field of a request, or a new form of card.
"""

from __future__ import annotations

JOB_VERSION = 2
"""Raise it in a release whose jobs the release before would make otherwise, or not at all."""

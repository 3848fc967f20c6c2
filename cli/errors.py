"""What stops a command, in words for whoever typed it."""

from __future__ import annotations


class CommandFailed(Exception):
    """Printed as one red line on stderr; the exit status is 1. Says what was wrong, and what to do
    where that is not plain.
    """

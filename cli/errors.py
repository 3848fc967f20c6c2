"""The error that ends a command, with a message for its user."""

from __future__ import annotations


class CommandFailed(Exception):
    """A failure that is printed as one red line on stderr; the exit status is 1.

    The message says what was wrong, and what to do where that is not plain.
    """

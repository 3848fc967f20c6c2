"""Marking: says of a finished clip that this server made it."""

"""Copies of a server: to another database and store, into a backup, and out of one."""

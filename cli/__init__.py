"""The command line: `palimpsest`, or `python -m cli`.

What the server can do goes over its HTTP API, so that there is one way for everybody: commands are
its clients, and start a server of their own where none is there. Only files too large for a request
(export, import) go past it, to the store in the data directory. Importing this package is cheap:
what takes seconds to import is imported by the command that needs it.
"""

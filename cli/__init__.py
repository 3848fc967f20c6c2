"""The command line: `palimpsest`, or `python -m cli`.

Commands are clients of the HTTP API, as every other client is, and start a server of their own if
none is running. Only files too large for a request (export, import) bypass the server: those
commands work on the store in the data directory. Importing this package is cheap: modules that take
seconds to import are imported by the command that needs them.
"""

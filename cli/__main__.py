"""`python -m cli` is `palimpsest`."""

from cli.main import app

app(prog_name="palimpsest")

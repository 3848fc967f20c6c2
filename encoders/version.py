"""Which Palimpsest this is. `pyproject.toml` says the same; a Bento is run without installation."""

VERSION = "0.1.0"

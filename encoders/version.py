"""The version of Palimpsest, the one place where it is written down.

`pyproject.toml` reads it from here. A constant serves where installed metadata would not: a Bento
runs the code without installing it.
"""

VERSION = "0.1.0"

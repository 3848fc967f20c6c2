"""How the server serves, against servers that one would write without it: `make bench-serving`."""

"""Serving, compared with plain servers around a diffusers pipeline: `make bench-serving`."""

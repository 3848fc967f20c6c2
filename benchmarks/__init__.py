"""Benchmarks: one command for each claim of the project; results name the machine."""

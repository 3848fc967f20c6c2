"""The HTTP API: routes, the models of their bodies, and the checks before a job is recorded."""

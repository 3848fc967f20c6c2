"""Replicas: several servers on one PostgreSQL and one bucket, measured and killed."""

"""Durable jobs: videos and encoders, from their acceptance to their end."""

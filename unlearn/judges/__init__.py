"""Judges: models that decide if a clip shows a concept."""

"""Checkpoints: finding a model's directory and loading components from it."""

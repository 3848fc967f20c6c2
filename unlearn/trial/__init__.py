"""Trials: the measurement that decides if an encoder may be published."""

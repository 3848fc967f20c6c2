"""Unlearning methods compared on the same models, prompts, seeds and few-shot images.

The methods are ours, the published one that the project follows, and the baselines.
"""

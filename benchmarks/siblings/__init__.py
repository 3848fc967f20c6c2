"""Siblings: text encoders of other architectures that speak to the built-in denoiser.

Each is distilled from the built-in text encoder onto the same embeddings, and loaded by the code of
the family whose kind of text encoder it is. They show if what unlearning does to the built-in
encoder, a CLIP of four layers, it does to others.
"""

"""Authentication and access: the guard, API keys, and the encoders each key may use."""

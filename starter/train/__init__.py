"""Training of the built-in model: stages that one resumable command runs in turn."""

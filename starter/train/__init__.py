"""How the built-in model is trained: stages that one resumable command runs in turn."""

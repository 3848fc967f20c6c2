"""What the project claims, measured: one command a claim, results beside the machine's name."""

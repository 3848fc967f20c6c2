"""Methods of unlearning, and the optimiser that runs them."""

"""The built-in model: the cartoon world it was trained on, its recipe, its weights, its judge."""

"""The studio as somebody new to it uses it: tasks, pictures of each view, many open pages."""

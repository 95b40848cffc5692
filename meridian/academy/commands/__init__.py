"""One module per group of commands. Heavy imports belong inside the functions."""

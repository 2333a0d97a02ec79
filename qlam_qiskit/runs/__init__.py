"""A run: its experiment, its folder, and the model that comes out of it."""

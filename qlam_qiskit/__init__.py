"""Quantum Long-Attention Memory: sequence models whose recurrent state is a quantum state."""

__version__ = "0.1.0"

"""Circuits for a device and their price: chains of qubits, tiles, economical gates, jobs, seconds, fidelity."""

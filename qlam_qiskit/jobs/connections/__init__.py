"""The other ends of a job: a backend of this machine, or IBM Quantum."""

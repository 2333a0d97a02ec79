"""The exact engine on a GPU, and the choice between it and the CPU's; torch is imported only where it is used."""

from qlam_qiskit.engine.torch.choice import make_engine

__all__ = ["make_engine"]

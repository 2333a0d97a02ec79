"""Makes the engine of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.engine.exact import ExactEngine
from qlam_qiskit.memory_circuit import MemoryCircuit

if TYPE_CHECKING:
    from qlam_qiskit.engine.torch.torch_engine import TorchEngine


def make_engine(
    memory: MemoryCircuit, *, device: str = "cpu", precision: str = "float32", threads: int | None = None
) -> ExactEngine | TorchEngine:
    """Compile ``memory`` for ``device``, "cpu" or "cuda"; only the CPU's engine has ``threads``.

    Raises CircuitError, and ConfigurationError where torch has no CUDA.
    """
    if device == "cpu":
        return ExactEngine(memory, precision=precision, threads=threads)
    from qlam_qiskit.engine.torch.torch_engine import TorchEngine

    return TorchEngine(memory, precision=precision, device=device)

"""Makes the engine of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.engine.exact import ExactEngine
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit

if TYPE_CHECKING:
    from qlam_qiskit.engine.torch.torch_engine import TorchEngine


def make_engine(
    memory: MemoryCircuit, *, device: str = "cpu", precision: str = "float32", threads: int | None = None
) -> ExactEngine | OpenEngine | TorchEngine:
    """Compile ``memory`` for ``device``, "cpu" or "cuda"; only the CPU's engines have ``threads``.

    A memory with channels gets the open engine, all others that of pure states. Raises CircuitError, and
    ConfigurationError where torch has no CUDA.
    """
    if device == "cpu":
        return (OpenEngine if memory.is_open else ExactEngine)(memory, precision=precision, threads=threads)
    if memory.is_open:
        raise ConfigurationError(f"device {device}: a memory with channels runs on the CPU only; use device: cpu")
    from qlam_qiskit.engine.torch.torch_engine import TorchEngine

    return TorchEngine(memory, precision=precision, device=device)

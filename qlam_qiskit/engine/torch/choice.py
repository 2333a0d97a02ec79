"""Makes the engine of a device."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.engine.exact import ExactEngine
from qlam_qiskit.engine.open import OpenEngine
from qlam_qiskit.memory_circuit import MemoryCircuit

if TYPE_CHECKING:
    from qlam_qiskit.engine.torch.torch_engine import TorchEngine
    from qlam_qiskit.engine.torch.torch_open_engine import TorchOpenEngine


def make_engine(
    memory: MemoryCircuit, *, device: str = "cpu", precision: str = "float32", threads: int | None = None
) -> ExactEngine | OpenEngine | TorchEngine | TorchOpenEngine:
    """Compile ``memory`` for ``device``, "cpu" or "cuda"; only the CPU's engines have ``threads``.

    A memory with channels gets the open engine, any other the one for pure states. Raises CircuitError, and
    ConfigurationError where torch has no CUDA.
    """
    if device == "cpu":
        engine = OpenEngine if memory.is_open else ExactEngine
        return engine(memory, precision=precision, threads=threads)
    if memory.is_open:
        from qlam_qiskit.engine.torch.torch_open_engine import TorchOpenEngine

        return TorchOpenEngine(memory, precision=precision, device=device)
    from qlam_qiskit.engine.torch.torch_engine import TorchEngine

    return TorchEngine(memory, precision=precision, device=device)

"""The exact engine: compiles circuits of Qiskit standard gates, runs batches of sequences, differentiates them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.engine.angles import AngleFunctions as AngleFunctions
    from qlam_qiskit.engine.arguments import MAX_QUBITS as MAX_QUBITS
    from qlam_qiskit.engine.arguments import PRECISIONS as PRECISIONS
    from qlam_qiskit.engine.arguments import beside as beside
    from qlam_qiskit.engine.benchmark import bench as bench
    from qlam_qiskit.engine.blocks import WIDE as WIDE
    from qlam_qiskit.engine.blocks import processors as processors
    from qlam_qiskit.engine.compilation import Compilation as Compilation
    from qlam_qiskit.engine.compilation import Loop as Loop
    from qlam_qiskit.engine.exact import ExactEngine as ExactEngine
    from qlam_qiskit.engine.exact import Gradients as Gradients
    from qlam_qiskit.engine.exact import Tape as Tape
    from qlam_qiskit.engine.gates import synthesize as synthesize
    from qlam_qiskit.engine.open.describe import describe_open as describe_open
    from qlam_qiskit.engine.open.open_engine import OpenEngine as OpenEngine
    from qlam_qiskit.engine.open.pauli import pauli_matrices as pauli_matrices
    from qlam_qiskit.engine.open.trajectory import open_trajectory as open_trajectory
    from qlam_qiskit.engine.plan import Operation as Operation
    from qlam_qiskit.engine.plan import PhaseRun as PhaseRun
    from qlam_qiskit.engine.plan import Plan as Plan
    from qlam_qiskit.engine.plan import compile_plan as compile_plan
    from qlam_qiskit.engine.plan_description import PlanDescription as PlanDescription
    from qlam_qiskit.engine.plan_description import cache_level as cache_level
    from qlam_qiskit.engine.plan_description import describe as describe
    from qlam_qiskit.engine.primitives import Permutation as Permutation
    from qlam_qiskit.engine.primitives import Rotation as Rotation
    from qlam_qiskit.engine.primitives import string_signs as string_signs
    from qlam_qiskit.engine.readout import Readout as Readout
    from qlam_qiskit.engine.torch.choice import make_engine as make_engine
    from qlam_qiskit.engine.torch.device import open_device as open_device
    from qlam_qiskit.engine.torch.differentiable import DifferentiableMemory as DifferentiableMemory
    from qlam_qiskit.engine.torch.torch_engine import TorchEngine as TorchEngine
    from qlam_qiskit.engine.torch.torch_open_engine import TorchOpenEngine as TorchOpenEngine

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "angles": "AngleFunctions",
        "arguments": "MAX_QUBITS PRECISIONS beside",
        "benchmark": "bench",
        "blocks": "WIDE processors",
        "compilation": "Compilation Loop",
        "exact": "ExactEngine Gradients Tape",
        "gates": "synthesize",
        "open.describe": "describe_open",
        "open.open_engine": "OpenEngine",
        "open.pauli": "pauli_matrices",
        "open.trajectory": "open_trajectory",
        "plan": "Operation PhaseRun Plan compile_plan",
        "plan_description": "PlanDescription cache_level describe",
        "primitives": "Permutation Rotation string_signs",
        "readout": "Readout",
        "torch.choice": "make_engine",
        "torch.device": "open_device",
        "torch.differentiable": "DifferentiableMemory",
        "torch.torch_engine": "TorchEngine",
        "torch.torch_open_engine": "TorchOpenEngine",
    },
)

"""Decodes a job's result with the client's own decoders, and looks at the raw bits before they are packed.

The client-side primitives pack bits from arrays of numbers: whatever is not 0 becomes 1. Only in between can it be
seen that a value is no bit, and how many shots an expectation value was made of.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from qlam_qiskit.jobs.expected import NO_BITS_SEEN, SHOTS_SEEN

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult
    from qiskit_ibm_runtime import RuntimeJobV2

_TWIRLING = "measurement_flips."


def decoded_result(job: RuntimeJobV2) -> PrimitiveResult:
    """Download a job's result and decode it; what the raw bits show goes into its metadata.

    Raises what the client raises for what it cannot decode.
    """
    if job.primitive_id != "executor":
        return job.result()
    from qiskit_ibm_runtime.decoders.defaults import DEFAULT_DECODERS
    from qiskit_ibm_runtime.decoders.result_decoder import ResultDecoder
    from qiskit_ibm_runtime.results.quantum_program import QuantumProgramResult

    shots: set[int] = set()
    no_bits: set[str] = set()

    class RawBits(ResultDecoder):
        """Stands between the decoder of the raw answer and those that make expectation values and counts of it."""

        @classmethod
        def is_applicable(cls, data: Any) -> bool:
            return isinstance(data, QuantumProgramResult)

        @classmethod
        def decode(cls, data: QuantumProgramResult) -> QuantumProgramResult:
            shots.update(_shots_of(data))
            no_bits.update(_registers_without_bits(data))
            return data

    first, *others = DEFAULT_DECODERS["executor"]
    result = job.result(decoder=[first, RawBits, *others])
    if isinstance(getattr(result, "metadata", None), dict):
        result.metadata.update({SHOTS_SEEN: sorted(shots), NO_BITS_SEEN: sorted(no_bits)})
    return result


def _shots_of(data: Any) -> Iterator[int]:
    """Yield the shots of each item, all randomizations together."""
    processor = (data.passthrough_data or {}).get("post_processor") or {}
    twirled = processor.get("twirling", True)  # the estimator has the axis of randomizations always
    for item in data:
        for name, values in item.items():
            shape = np.shape(values)
            if not name.startswith(_TWIRLING) and len(shape) >= 2:
                yield shape[-2] * (shape[0] if twirled and len(shape) >= 3 else 1)


def _registers_without_bits(data: Any) -> Iterator[str]:
    """Yield the names of registers that hold anything but 0 and 1."""
    for item in data:
        for name, values in item.items():
            values = np.asarray(values)
            if values.dtype != bool and not np.isin(values, (0, 1)).all():
                yield name

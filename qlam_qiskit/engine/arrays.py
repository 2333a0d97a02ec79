"""What the compiled loops take: a circuit as arrays of integers and numbers, and the buffers they work in.

A *row* is as many numbers as the block has lanes, one for each of its samples.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qlam_qiskit.engine.simd import Rows

ROTATE_X, ROTATE_Y, PHASE, PERMUTE = 0, 1, 2, 3
CHUNK = 8  # steps whose angles are prepared together; their rows stay in the first two levels of cache


class Numbers(NamedTuple):
    """Constants of the angle loops: pi in three parts, the Taylor polynomials of sin and cos, the part of an angle."""

    pi: np.ndarray
    sin_terms: np.ndarray
    cos_terms: np.ndarray
    part: float


class Steps(NamedTuple):
    """What one step of a circuit does, in order, and how its angle rows follow from the inputs."""

    operations: np.ndarray  # (ops, 6) kind, then: qubit, shared?, row | low, high, cross, end, table | permutation
    masks: np.ndarray  # (strings,) qubits of each Pauli-Z string, as bits
    string_rows: np.ndarray  # (strings,) the angle row of each string
    cycle_starts: np.ndarray  # (permutations, cycles + 1) padded; where each cycle begins in ``cycles``
    cycles: np.ndarray  # amplitudes; each moves to the place of the next one of its cycle
    row_starts: np.ndarray  # (angle rows + 1,) where the terms of each row begin
    row_inputs: np.ndarray  # (terms,) index of an input
    row_factors: np.ndarray  # (terms,) its factor


class Shared(NamedTuple):
    """What all steps and samples share, computed from the weights before a run."""

    offsets: np.ndarray  # (angle rows,) the part of each angle that inputs do not change
    cosines: Rows  # rows of shared angles: cos and sin of half of each
    sines: Rows
    table_re: np.ndarray  # (tables, D) phases as complex numbers
    table_im: np.ndarray


class AngleRows(NamedTuple):
    """Rows of the steps in hand: inputs or their gradients, cos and sin of half of each angle, gradients of angles."""

    inputs: Rows
    cosines: Rows
    sines: Rows
    gradients: Rows


class Sums(NamedTuple):
    """Gradients of what all steps and samples share, summed over the block."""

    offsets: np.ndarray  # (angle rows,) float64
    shared: np.ndarray  # (shared angles,) float64
    tables: np.ndarray  # (tables, D) float64
    shared_rows: Rows  # running sums as rows, emptied into ``shared`` after each chunk
    table_rows: Rows  # running sums as rows, emptied into ``tables``


class Circuit(NamedTuple):
    """A compiled circuit at work on one block."""

    steps: Steps
    shared: Shared
    rows: AngleRows
    sums: Sums


class State(NamedTuple):
    """The state of a block's samples: row j is amplitude j of all of them."""

    re: Rows
    im: Rows


class Half(NamedTuple):
    """Phases of the lower or the upper half of the register, and sums over the other half."""

    re: Rows
    im: Rows
    sums: Rows


class Work(NamedTuple):
    """Buffers of one block."""

    psi: State
    adjoint: State  # lambda
    query_psi: State  # V psi
    query_adjoint: State  # O V psi
    low: Half
    high: Half


class Block(NamedTuple):
    """Which samples of the batch a block holds, of which register, on how many qubits."""

    register: int
    first: int
    lanes: int
    qubits: int


def work(qubits: int, lanes: int, dtype: type[np.floating]) -> Work:
    """Allocate the buffers of one block."""
    states = (State(*(Rows(1 << qubits, lanes, dtype) for _ in range(2))) for _ in range(4))
    sizes = (1 << qubits // 2, 1 << (qubits - qubits // 2))
    return Work(*states, *(Half(*(Rows(size, lanes, dtype) for _ in range(3))) for size in sizes))

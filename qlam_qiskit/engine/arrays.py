"""What the compiled loops take: a circuit as arrays of integers and numbers, and the buffers they work in."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qlam_qiskit.engine.simd import LANES

ROTATE_X, ROTATE_Y, PHASE, PERMUTE = 0, 1, 2, 3
CHUNK = 8  # steps whose angles are prepared together; their rows stay in the first two levels of cache


class Numbers(NamedTuple):
    """Constants in the precision of the state: pi in three parts, 1/2, 1/pi, 1, and two Taylor polynomials."""

    pi: np.ndarray
    half: np.ndarray
    sin_terms: np.ndarray
    cos_terms: np.ndarray


class Steps(NamedTuple):
    """A compiled circuit as arrays: what one step does, in order, and how its angle rows follow from the inputs."""

    operations: np.ndarray  # (ops, 6) kind, then: qubit, shared?, row | low, high, cross, end, table | permutation
    masks: np.ndarray  # (strings,) qubits of each Pauli-Z string, as bits
    string_rows: np.ndarray  # (strings,) the angle row of each string
    cycle_starts: np.ndarray  # (permutations, cycles + 1) padded; where each cycle begins in ``cycles``
    cycles: np.ndarray  # amplitudes; each moves to the place of the next one of its cycle
    row_starts: np.ndarray  # (rows + 1,) where the terms of each row begin
    row_inputs: np.ndarray  # (terms,) index of an input
    row_factors: np.ndarray  # (terms,) its factor


class Shared(NamedTuple):
    """What all steps and samples share, computed from the weights before a run."""

    offsets: np.ndarray  # (rows,) the part of each angle row that inputs do not change
    cosines: np.ndarray  # (shared rows * LANES,)
    sines: np.ndarray
    table_re: np.ndarray  # (tables, D) phases as complex numbers
    table_im: np.ndarray


class Work(NamedTuple):
    """Buffers of one thread; each row is LANES numbers and begins on a cache line."""

    re: np.ndarray  # (D rows) psi
    im: np.ndarray
    lre: np.ndarray  # (D rows) lambda
    lim: np.ndarray
    query_re: np.ndarray  # (D rows) V psi
    query_im: np.ndarray
    query_lre: np.ndarray  # (D rows) O V psi
    query_lim: np.ndarray
    low_re: np.ndarray  # (2^(n//2) rows) phases of the register's lower half
    low_im: np.ndarray
    low_sum: np.ndarray
    high_re: np.ndarray  # (2^(n - n//2) rows) and of its upper half
    high_im: np.ndarray
    high_sum: np.ndarray


class Rows(NamedTuple):
    """Angle rows of the steps in hand, cos and sin of half of each, and their gradients."""

    angles: np.ndarray
    cosines: np.ndarray
    sines: np.ndarray
    gradients: np.ndarray


class Sums(NamedTuple):
    """Gradients of what all steps and samples share, summed over the block."""

    offsets: np.ndarray  # (rows,) float64
    shared: np.ndarray  # (shared rows,) float64
    tables: np.ndarray  # (tables, D) float64
    shared_rows: np.ndarray  # (shared rows * LANES,) running sums, emptied into ``shared`` after each chunk
    table_rows: np.ndarray  # (tables * D * LANES,) running sums, emptied into ``tables``


def rows(count: int, dtype: type[np.floating]) -> np.ndarray:
    """Allocate ``count`` rows of LANES zeros, the first one on a cache line."""
    size = count * LANES
    raw = np.zeros(size + 64 // np.dtype(dtype).itemsize, dtype)
    skip = (-raw.ctypes.data % 64) // raw.itemsize
    return raw[skip : skip + size]

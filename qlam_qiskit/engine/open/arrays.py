"""What the open engine's loops take: a plan as arrays of integers and numbers, and the buffers they work in.

A *row* is as many numbers as the block has lanes, one for each of its samples. A state is 4^n rows, one for each Pauli
string. A *tape* is several states in a row: a matrix reads one and writes the next.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qlam_qiskit.engine.arrays import AngleRows
from qlam_qiskit.engine.simd import Rows, Table

TURN, TWO_TURNS, DAMP, DAMPED_TURN, MAP, EMIT, TURNS, CROSSING = range(8)
FIELDS = 16  # integers of an operation, some of them unused
TILE = 16  # groups of four rows that a loop takes register by register, so that they stay in the first level of cache


class Program(NamedTuple):
    """What steps do, in order: FIELDS integers for each operation, see :mod:`.steps`, and how many that are.

    Where the end of each step is joined with the beginning of the next, the state that is carried from step to step
    lacks it; ``last`` is what the state that is read needs on top.
    """

    first: Table  # the first step of a sequence
    first_length: int
    operations: Table  # every later one
    length: int
    last: Table
    last_length: int
    last_maps: int  # maps among ``last``, which the first step lacks


class OpenSteps(NamedTuple):
    """What a circuit does, and how its angle rows follow from the inputs."""

    plain: Program  # whole steps
    crossing: Program  # the end of one joined with the beginning of the next
    emitting: Program  # whole steps that yield emissions
    pairs: Table  # two rows each: the strings that a turn turns into each other
    sets: Table  # four integers for each turn of a set: first pair, end; shared?, angle row
    bases: Table  # first row of each group of 4^k rows that a map acts on
    outputs: Table  # three integers each: a row in its group, then the bounds of its elements
    elements: Table  # two each: a row, and the coefficient that it is multiplied with
    transposes: Table  # four for each map: the bounds of its transpose's outputs, and of its gradients
    gradients: Table  # three for each trained element: row of the output, row of the input, coefficient
    maps_in_step: int
    row_starts: Table  # (angle rows + 1,) where the terms of each row begin
    row_inputs: Table  # (terms,) index of an input
    row_factors: Table  # (terms,) its factor


class OpenShared(NamedTuple):
    """What all steps and samples of a register share, written there before its blocks are run."""

    offsets: Table  # (angle rows,) the part of each angle that inputs do not change
    coefficients: Table  # of all maps, those that are trained first, and of emissions
    cosines: Rows  # rows of shared angles: cos and sin of each
    sines: Rows
    written_offsets: np.ndarray  # the memory of the tables
    written_coefficients: np.ndarray


class OpenSums(NamedTuple):
    """Gradients of what all steps and samples share, summed over the block and then zero again."""

    offsets: np.ndarray  # (angle rows,) float64
    shared: np.ndarray  # (shared angles,) float64
    coefficients: np.ndarray  # (trained coefficients,) float64
    shared_rows: Rows  # running sums as rows, emptied into the arrays above after each segment
    coefficient_rows: Rows


class OpenCircuit(NamedTuple):
    """A compiled circuit at work on one block."""

    steps: OpenSteps
    shared: OpenShared
    rows: AngleRows
    sums: OpenSums


class Blocks(NamedTuple):
    """Neighbouring blocks of one register, from ``first`` to before ``end``, of a batch of ``samples``."""

    register: int
    first: int
    end: int
    samples: int
    qubits: int


class OpenWork(NamedTuple):
    """Buffers of one block."""

    tape: Rows  # the states of a segment of steps
    adjoint: Rows  # two states: before and after a map
    query_tape: Rows
    query_adjoint: Rows
    last: Rows  # the states of what is read, before and after the end of its step
    last_adjoint: Rows
    asked: Rows  # the state that is read; backward what it receives
    read_adjoint: Rows  # the sum of that over queries
    mean: Rows  # the sum of the states since the last reading; backward what each of them receives
    values: Rows  # 2^n rows: Z strings, or bitstring probabilities
    emitted: Rows  # sums of emissions since the last reading; backward what each of them receives


class Reading(NamedTuple):
    """What is read when."""

    slots: np.ndarray  # (1 or B, T) which of the R readings follows each step, or -1
    lengths: np.ndarray  # (1 or B, R) steps since the reading before it
    z_rows: np.ndarray  # (2^n,) row of each Z string, by the mask of its qubits
    start_rows: np.ndarray  # rows that are 1 in |0...0>, the others being 0
    segment: int  # steps between two states kept
    mean: bool  # whether the mean state since the last reading is read, or the state itself
    emit: bool  # whether emissions are read
    cross: bool  # whether the end of each step is joined with the beginning of the next


class Moment(NamedTuple):
    """A reading at work: the step that it follows, and its number; some samples of a block may not be read then."""

    step: int
    slot: int

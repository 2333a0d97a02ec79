"""One step of a compiled circuit, forward and backward.

A compiled circuit (:mod:`.plan`) has four kinds of operation:

ROTATE_X, ROTATE_Y   exp(-i a X/2) or exp(-i a Y/2) on one qubit;
PHASE                every diagonal gate of a run at once;
PERMUTE              every CX, SWAP, X, ... of a run at once.

Angles come in rows, one number for each sample, as cos and sin of half the angle: either rows of this step, which
depend on the inputs, or rows that all steps and samples share, which depend on weights alone.

Backward, a step is undone from its last operation to its first, on psi and on the adjoint state lambda together. With
lambda = O psi at the readout, O diagonal and holding dL/dp of each bitstring, the angle a of exp(-i a G/2) has

    dL/da = Im <lambda| G |psi>,

taken where the gate stands; before or after it agree, as G commutes with its own rotation.
"""

from qlam_qiskit.engine.arrays import PERMUTE, PHASE, ROTATE_X
from qlam_qiskit.engine.compiled import compiled
from qlam_qiskit.engine.permutations import permute, unpermute
from qlam_qiskit.engine.phases import phase, unphase
from qlam_qiskit.engine.rotations import rotate_x, rotate_y, unrotate_x, unrotate_y
from qlam_qiskit.engine.simd import load, store


@compiled
def apply_step(state, qubits, circuit, base, work):
    """Apply the operations of one step, whose angle rows begin at ``base``."""
    steps, shared, rows = circuit.steps, circuit.shared, circuit.rows
    for index in range(len(steps.operations)):
        operation = steps.operations[index]
        kind = operation[0]
        if kind == PHASE:
            phase(state, qubits, circuit, operation, base, work)
        elif kind == PERMUTE:
            permute(state, steps, operation[1])
        else:
            row = operation[3]
            if operation[2]:
                c, s = load(shared.cosines, row), load(shared.sines, row)
            else:
                c, s = load(rows.cosines, base + row), load(rows.sines, base + row)
            if kind == ROTATE_X:
                rotate_x(state, 1 << qubits, operation[1], c, s)
            else:
                rotate_y(state, 1 << qubits, operation[1], c, s)


@compiled
def unapply_step(psi, adjoint, qubits, circuit, base, work):
    """Undo one step on psi and lambda, adding the gradients of its angles to their rows."""
    steps, shared, rows, sums = circuit.steps, circuit.shared, circuit.rows, circuit.sums
    for index in range(len(steps.operations) - 1, -1, -1):
        operation = steps.operations[index]
        kind = operation[0]
        if kind == PHASE:
            unphase(psi, adjoint, qubits, circuit, operation, base, work)
        elif kind == PERMUTE:
            unpermute(psi, steps, operation[1])
            unpermute(adjoint, steps, operation[1])
        else:
            row = operation[3]
            if operation[2]:
                c, s = load(shared.cosines, row), load(shared.sines, row)
            else:
                c, s = load(rows.cosines, base + row), load(rows.sines, base + row)
            if kind == ROTATE_X:
                g = unrotate_x(psi, adjoint, 1 << qubits, operation[1], c, s)
            else:
                g = unrotate_y(psi, adjoint, 1 << qubits, operation[1], c, s)
            if operation[2]:
                store(sums.shared_rows, row, load(sums.shared_rows, row) + g)
            else:
                store(rows.gradients, base + row, load(rows.gradients, base + row) + g)

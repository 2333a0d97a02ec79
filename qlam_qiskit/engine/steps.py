"""One step of a compiled circuit, forward and backward.

A compiled circuit (:mod:`.plan`) has four kinds of operation:

ROTATE_X, ROTATE_Y   exp(-i a X/2) or exp(-i a Y/2) on one qubit;
PHASE                every diagonal gate of a run at once;
PERMUTE              every CX, SWAP, X, ... of a run at once.

Angles come in rows of LANES numbers, as cos and sin of half the angle: either rows of this step, which depend on the
inputs, or rows that all steps and samples share, which depend on weights alone.

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
def apply_step(re, im, qubits, plan, shared, cosines, sines, base, work, one):
    """Apply the operations of one step, whose angle rows begin at ``base``."""
    for index in range(len(plan.operations)):
        operation = plan.operations[index]
        kind = operation[0]
        if kind == PHASE:
            phase(re, im, qubits, plan, shared, operation, cosines, sines, base, work, one)
        elif kind == PERMUTE:
            permute(re, plan, operation[1])
            permute(im, plan, operation[1])
        else:
            if operation[2]:
                c, s = load(shared.cosines, operation[3]), load(shared.sines, operation[3])
            else:
                c, s = load(cosines, base + operation[3]), load(sines, base + operation[3])
            if kind == ROTATE_X:
                rotate_x(re, im, 1 << qubits, operation[1], c, s)
            else:
                rotate_y(re, im, 1 << qubits, operation[1], c, s)


@compiled
def unapply_step(
    re, im, lre, lim, qubits, plan, shared, cosines, sines, base, work, one, gradient, shared_sum, table_sum
):
    """Undo one step on psi and lambda, adding the gradients of its angles to their rows."""
    for index in range(len(plan.operations) - 1, -1, -1):
        operation = plan.operations[index]
        kind = operation[0]
        if kind == PHASE:
            unphase(
                re,
                im,
                lre,
                lim,
                qubits,
                plan,
                shared,
                operation,
                cosines,
                sines,
                base,
                work,
                one,
                gradient,
                table_sum,
            )
        elif kind == PERMUTE:
            unpermute(re, plan, operation[1])
            unpermute(im, plan, operation[1])
            unpermute(lre, plan, operation[1])
            unpermute(lim, plan, operation[1])
        else:
            row = operation[3]
            if operation[2]:
                c, s = load(shared.cosines, row), load(shared.sines, row)
            else:
                c, s = load(cosines, base + row), load(sines, base + row)
            if kind == ROTATE_X:
                g = unrotate_x(re, im, lre, lim, 1 << qubits, operation[1], c, s)
            else:
                g = unrotate_y(re, im, lre, lim, 1 << qubits, operation[1], c, s)
            if operation[2]:
                store(shared_sum, row, load(shared_sum, row) + g)
            else:
                store(gradient, base + row, load(gradient, base + row) + g)

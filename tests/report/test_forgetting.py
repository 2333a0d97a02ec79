"""What a memory forgets and when: as damping that is known makes it, and never more after more steps."""

import numpy as np
import pytest
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import XXPlusYYGate

from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.rate import Rate, angle_from_rate
from qlam_qiskit.report import Findings
from qlam_qiskit.report.findings import LeftOut
from qlam_qiskit.report.forgetting import _lags, _left, half_life
from qlam_qiskit.report.mixed_states import purity
from qlam_qiskit.report.registers import Register, density_states
from qlam_qiskit.runs import SavedRun


def damped_qubit():
    phi, decay = Parameter("phi"), Parameter("decay")
    update = QuantumCircuit(2)
    update.ry(phi, 0)
    update.append(XXPlusYYGate(decay), [0, 1])
    update.reset(1)
    return MemoryCircuit(update, [phi], [decay], ancillas=[1], rates={decay: Rate()})


def reading(angles, gamma):
    lengths = np.full(len(angles), angles.shape[1])
    return Register("", False, damped_qubit(), angles, lengths, np.array([angle_from_rate(gamma)]))


def test_an_excitation_is_half_gone_after_a_half_life():
    gamma, steps = 0.05, 120
    angles = np.zeros((2, steps, 1))
    changed = angles.copy()
    changed[:, 3] = np.pi  # at this step the qubit is excited, and damped for the first time
    register = reading(angles, gamma)
    lags = _lags(register, [changed])
    assert lags[0] == 0
    assert lags[-1] == steps - 1 - 3
    left = _left(register.memory, register, [changed], lags)
    np.testing.assert_allclose(left, (1 - gamma) ** lags, atol=1e-12)
    half = half_life(gamma)
    assert left[lags <= half].min() >= 0.5 >= left[lags >= half].max()
    assert half_life(0.5) == pytest.approx(1)


def test_purity_falls_while_an_excitation_leaves_and_comes_back():
    gamma, angles = 0.1, np.zeros((1, 60, 1))
    angles[0, 0] = np.pi
    register = reading(angles, gamma)
    ((states, _),) = density_states(register, register.memory)
    excited = (1 - gamma) ** np.arange(1, 61)
    np.testing.assert_allclose(purity(states)[1:], excited**2 + (1 - excited) ** 2, atol=1e-12)


def test_an_effect_never_grows_once_the_token_is_read(open_run):
    findings = Findings.of(SavedRun.open(open_run), samples=2)
    found = findings.forgetting
    assert [one.backwards for one in found] == [False, False, True]
    for one in found:
        assert set(one.left) == {"", "FakeTorino"}
        for left in one.left.values():
            assert left[0] == 1
            assert (np.diff(left) < 1e-9).all()
            assert left[-1] < 0.9
    assert findings.told_forgetting == found


def test_rates_are_the_trained_ones_of_the_qubits_they_damp(open_run):
    findings = Findings.of(SavedRun.open(open_run))
    first, second = findings.dampings
    assert (first.name, second.name) == ("q0", "q1")
    trained = findings.memory_model.layers[0].memory.weight.detach().reshape(3, -1)[:, -2:].double().numpy()
    np.testing.assert_allclose(np.stack([first.gammas, second.gammas]).T, 1 / (1 + np.exp(-trained)), rtol=1e-5)
    assert first.backwards.tolist() == [False, False, True]
    assert first.start.high == 0.4


def test_traces_are_those_of_the_registers_drawn(open_run):
    findings = Findings.of(SavedRun.open(open_run), samples=1)
    ((*forwards, backwards),) = findings.memories
    assert [trace.name for trace in forwards] == ["register 1", "register 2"]
    assert backwards.backwards
    for trace in (*forwards, backwards):
        noisy = trace.noisy["FakeTorino"]
        assert trace.ideal.emissions.shape == (16, 2)
        assert trace.ideal.entanglement.shape == (17, 2)
        assert noisy.purity[0] == trace.ideal.purity[0] == pytest.approx(1)
        assert noisy.purity[1] < trace.ideal.purity[1]
        assert (trace.ideal.fidelities[-1], noisy.fidelities[-1]) == pytest.approx((1, 1), abs=1e-6)


def test_a_unitary_memory_has_nothing_to_show(image_run):
    findings = Findings.of(SavedRun.open(image_run), samples=1)
    with pytest.raises(LeftOut, match="unitary"):
        _ = findings.dampings
    with pytest.raises(LeftOut, match="unitary"):
        _ = findings.forgetting
    ((trace,),) = findings.memories
    assert trace.purities["FakeTorino"][0] == pytest.approx(1)
    assert (np.diff(trace.purities["FakeTorino"]) < 0).any()
    assert 1 / 8 < trace.purities["FakeTorino"][-1] < 0.95

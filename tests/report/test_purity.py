"""Purity under noise: as gate errors that are known make it."""

import numpy as np
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import CZGate, Measure, RXGate, RZGate
from qiskit.providers import BackendV2, Options, QubitProperties
from qiskit.transpiler import InstructionProperties, Target

from qlam_qiskit.backends.simulation import DeviceSimulator
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.report.purity import noisy_purity
from qlam_qiskit.templates import load_template


class _Device(BackendV2):
    """Two qubits that relax in an hour, with RX, RZ and CZ; RX has an error, the others none."""

    def __init__(self, error):
        super().__init__(name="simple")
        self._target = Target(num_qubits=2, qubit_properties=[QubitProperties(3600.0, 3600.0)] * 2)
        angle = Parameter("angle")
        for gate, loss in ((RXGate(angle), error), (RZGate(angle), 0.0), (Measure(), 0.0)):
            self._target.add_instruction(gate, {(k,): InstructionProperties(1e-8, loss) for k in (0, 1)})
        self._target.add_instruction(CZGate(), {(0, 1): InstructionProperties(1e-8, 0.0)})

    @classmethod
    def _default_options(cls):
        return Options()

    @property
    def target(self):
        return self._target

    @property
    def max_circuits(self):
        return None

    def run(self, *arguments, **options):
        raise NotImplementedError


def _turning() -> MemoryCircuit:
    update = QuantumCircuit(1)
    phi, theta = Parameter("phi"), Parameter("theta")
    update.rx(phi, 0)
    update.barrier()
    update.rz(theta, 0)
    return MemoryCircuit(update, [phi], [theta])


def test_an_average_gate_error_shrinks_the_bloch_vector_by_twice_that():
    error, steps = 0.02, 5
    angles = np.linspace(0.3, 0.9, 2 * steps).reshape(2, steps, 1)
    purity = noisy_purity(_turning(), angles, np.array([0.4]), DeviceSimulator(_Device(error)))
    length = (1 - 2 * error) ** np.arange(steps + 1)
    np.testing.assert_allclose(purity, [(1 + length**2) / 2] * 2, atol=1e-9)


def test_a_device_without_errors_leaves_the_state_pure():
    memory, rng = load_template("line", 2), np.random.default_rng(0)
    angles, weights = rng.normal(size=(1, 3, memory.num_inputs)), rng.normal(size=memory.num_weights)
    purity = noisy_purity(memory, angles, weights, DeviceSimulator(_Device(0.0)))
    np.testing.assert_allclose(purity, np.ones((1, 4)), atol=1e-9)


def test_a_fake_devices_noise_mixes_more_and_more():
    from qlam_qiskit.backends import make_spec, open_backend

    device = open_backend(make_spec("torino", {"kind": "fake", "name": "FakeTorino"}, "test")).backend
    memory, rng = load_template("ring", 3), np.random.default_rng(0)  # a ring is routed on the chain
    angles, weights = rng.normal(size=(1, 6, memory.num_inputs)), rng.normal(size=memory.num_weights)
    (purity,) = noisy_purity(memory, angles, weights, device)
    assert purity[0] == 1
    assert (np.diff(purity) < 0).all()
    assert 1 / 8 < purity[-1] < 0.95

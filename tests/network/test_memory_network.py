"""The network's readouts and Jacobians are those of the stock EstimatorQNN, whatever the parameters are called."""

import numpy as np
import pytest
from qiskit.circuit import Parameter, ParameterVector, QuantumCircuit
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp
from qiskit_machine_learning.gradients import ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN

from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import CircuitError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.network import ExactExecution, MemoryNetwork
from qlam_qiskit.templates import find_templates, load_template


def _network(memory, steps, readout, **options):
    execution = ExactExecution.of(memory, readout, options.get("readout_steps"), precision="float64")
    return MemoryNetwork(memory, steps, readout=readout, execution=execution, **options)


def _estimator_qnn(memory, steps, readout):
    estimator = StatevectorEstimator()
    strings = [
        "".join("Z" if mask >> qubit & 1 else "I" for qubit in reversed(range(memory.num_qubits)))
        for mask in readout.masks
    ]
    return EstimatorQNN(
        circuit=memory.unroll(steps),
        estimator=estimator,
        observables=[SparsePauliOp(string) for string in strings],
        input_params=[*memory.sequence_inputs(steps), *memory.query_angles],
        weight_params=list(memory.weights),
        gradient=ParamShiftEstimatorGradient(estimator),
        input_gradients=True,
        default_precision=0.0,  # its own default is 1/64, which makes an exact estimator draw shots
    )


def _assert_same_as_stock(memory, steps=2, samples=2):
    readout = Readout(memory.num_qubits, "z_strings", min(2, memory.num_qubits))
    ours, stock = _network(memory, steps, readout), _estimator_qnn(memory, steps, readout)
    assert (ours.num_inputs, ours.num_weights) == (stock.num_inputs, stock.num_weights)
    assert ours.output_shape == stock.output_shape
    rng = np.random.default_rng(3)
    inputs, weights = rng.normal(size=(samples, ours.num_inputs)), rng.normal(size=ours.num_weights)
    np.testing.assert_allclose(ours.forward(inputs, weights), stock.forward(inputs, weights), rtol=0, atol=1e-10)
    for mine, theirs in zip(ours.backward(inputs, weights), stock.backward(inputs, weights), strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", sorted(find_templates()))
def test_every_template_has_the_gradients_of_the_stock_network(name):
    """One with channels as far as the stock network knows it: where no qubit is damped."""
    memory = load_template(name, 2, {"damped": []} if name.startswith("damped") else {})
    assert memory.unroll(2).num_parameters > 10
    _assert_same_as_stock(memory, samples=1)


@pytest.mark.parametrize(
    ("inputs", "weights"),
    [
        (["x[10]", "x[2]"], ["x[1]", "w"]),
        (["phi[1]", "phi[0]"], ["phi[2]", "phi"]),
        (["pi", "sin"], ["E", "I"]),
        (["lambda", "None"], ["S", "1"]),
        (["a b", "a + b"], ["θ[1]", "θ[0]"]),
        (["z", "y"], ["b", "a"]),
        (["alpha[0]", "alpha[3]"], ["alpha", "alpha_[1]"]),
        (["query", "$\\phi$"], ["x-y", "angle[0]"]),
    ],
)
def test_names_of_parameters_do_not_matter(inputs, weights):
    (x, y), (v, w) = ([Parameter(name) for name in names] for names in (inputs, weights))
    update = QuantumCircuit(2)
    update.rx(x, 0)
    update.ry(2 * y + v, 1)
    update.rzz(w, 0, 1)
    update.ry(x - w, 0)
    update.rx(v, 1)
    _assert_same_as_stock(MemoryCircuit(update, [x, y], [v, w]))


def test_more_than_ten_parameters_in_the_order_of_their_vector_not_of_their_names():
    phi, theta = ParameterVector("phi", 12), ParameterVector("theta", 11)
    update = QuantumCircuit(2)
    for k, angle in enumerate(phi):
        update.ry(angle, k % 2)
        update.rz(theta[k % 11] / 2, k % 2)
        update.cx(0, 1)
    _assert_same_as_stock(MemoryCircuit(update, phi, theta), samples=1)


def test_readouts_heads_and_queries_lie_in_the_documented_order():
    memory, readout = load_template("line", 2), Readout(2)
    network = _network(memory, 3, readout, registers=2, queries=2, readout_steps=(0, 2))
    rng = np.random.default_rng(0)
    angles = rng.normal(size=(2, 3, 2, memory.num_inputs))
    queries = rng.normal(size=(2, 1, 2, 2, memory.num_query_angles))
    weights = rng.normal(size=(2, memory.num_weights))
    flat = np.concatenate([angles.reshape(2, -1), queries.reshape(2, -1)], axis=1)
    values = network.forward(flat, weights.ravel()).reshape(2, 2, 2, 2, 4)
    np.testing.assert_array_equal(values, network.run(angles, weights, queries)[0])
    one = _network(memory, 1, readout)
    for register, query in np.ndindex(2, 2):
        parts = (angles[:, :1, register].reshape(2, -1), queries[:, 0, register, query])
        alone = one.forward(np.concatenate(parts, axis=1), weights[register])
        np.testing.assert_array_equal(values[:, 0, register, query], alone)


def test_by_default_probabilities_are_read_after_the_last_step():
    memory = load_template("ring", 2)
    network = MemoryNetwork(memory, 4)
    assert network.output_shape == (4,)
    assert network.num_inputs == 4 * memory.num_inputs + memory.num_query_angles
    idle = network.forward(np.zeros(network.num_inputs), np.zeros(network.num_weights))
    np.testing.assert_array_equal(idle, [[3, -1, -1, -1]])


@pytest.mark.parametrize(
    ("angles", "weights", "queries", "message"),
    [
        ((2, 4, 1, 4), (1, 3), (1, 1, 1, 1, 4), r"angles must be \(2, 3, 1, 4\), not \(2, 4, 1, 4\)"),
        ((2, 3, 4), (1, 3), (1, 1, 1, 1, 4), "angles must be"),
        ((2, 3, 1, 4), (3,), (1, 1, 1, 1, 4), r"weights must be \(1, 3\), not \(3,\)"),
        ((2, 3, 1, 4), (1, 3), (3, 1, 1, 1, 4), r"queries must be \(1 or 2, 1, 1, 1, 4\)"),
        ((2, 3, 1, 4), (1, 3), (2, 1, 1, 2, 4), "queries must be"),
    ],
)
def test_shapes_that_do_not_fit_are_said(angles, weights, queries, message):
    network = MemoryNetwork(load_template("line", 2), 3)
    with pytest.raises(CircuitError, match=message):
        network.run(np.zeros(angles), np.zeros(weights), np.zeros(queries))


def test_a_readout_of_another_register_is_refused():
    with pytest.raises(CircuitError, match="readout is of 3 qubits and the memory has 2"):
        MemoryNetwork(load_template("line", 2), 3, readout=Readout(3))

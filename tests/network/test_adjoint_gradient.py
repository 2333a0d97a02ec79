"""AdjointEstimatorGradient is a drop-in for the parameter shift rule: the same gradients, the same training curves."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from qiskit import generate_preset_pass_manager
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import efficient_su2, real_amplitudes, zz_feature_map
from qiskit.primitives import StatevectorEstimator
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import SparsePauliOp, Statevector
from qiskit_aer.primitives import EstimatorV2
from qiskit_machine_learning.connectors import TorchConnector
from qiskit_machine_learning.gradients import BaseEstimatorGradient, ParamShiftEstimatorGradient
from qiskit_machine_learning.neural_networks import EstimatorQNN
from random_expectations import AWKWARD, assert_close, random_circuit, random_rows, random_sum
from references import assert_slopes

from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.network import AdjointEstimator, AdjointEstimatorGradient, expectations

DOCUMENTATION = Path(__file__).parent.parent.parent / "docs" / "stock-qiskit.md"


def _gradients(*arguments):
    return AdjointEstimatorGradient().run(*arguments).result().gradients


def _shifted(*arguments, estimator=None):
    return ParamShiftEstimatorGradient(estimator or StatevectorEstimator()).run(*arguments).result().gradients


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("estimator", [StatevectorEstimator, EstimatorV2], ids=["statevector", "aer"])
def test_gradients_are_those_of_the_parameter_shift_rule(seed, estimator):
    rng = np.random.default_rng(seed)
    qubits = 2 + seed % 3
    circuit = random_circuit(rng, qubits, gates=15, shiftable=True)
    sums, rows = [random_sum(rng, qubits, terms=3) for _ in range(2)], random_rows(rng, circuit, 2)
    arguments = [circuit] * 2, sums, rows
    for ours, theirs in zip(_gradients(*arguments), _shifted(*arguments, estimator=estimator()), strict=True):
        assert ours.shape == (circuit.num_parameters,)
        assert_close(ours, theirs, 1e-6 if estimator is EstimatorV2 else 1e-10)


@pytest.mark.parametrize("seed", range(12))
def test_gradients_are_the_slopes_of_the_statevectors_values(seed):
    rng = np.random.default_rng(100 + seed)
    circuit, observable = random_circuit(rng, 1 + seed % 5), random_sum(rng, 1 + seed % 5)
    row = random_rows(rng, circuit)

    def value(row):
        state = Statevector(circuit.assign_parameters(dict(zip(circuit.parameters, row, strict=True))))
        return state.expectation_value(observable).real

    assert_slopes(value, [row], _gradients([circuit], [observable], [row]), rng)
    single = AdjointEstimatorGradient(dtype="float32").run([circuit], [observable], [row]).result().gradients
    assert_close(single, _gradients([circuit], [observable], [row]), 1e-4)


def test_one_call_may_mix_circuits_observables_and_parameters():
    rng = np.random.default_rng(7)
    circuits = [random_circuit(rng, 3, shiftable=True) for _ in range(2)]
    circuits = [circuits[k] for k in (0, 1, 0, 0, 1)] + [circuits[0].copy()]
    sums = [random_sum(rng, 3, terms=1 + k) for k in range(len(circuits))]
    rows = [random_rows(rng, circuit) for circuit in circuits]
    parameters = [list(circuit.parameters) for circuit in circuits]
    parameters = [parameters[0][::-1], None, parameters[2][2:4], [], parameters[4][:1], parameters[5][1:]]
    result = AdjointEstimatorGradient().run(circuits, sums, rows, parameters).result()
    for k, theirs in enumerate(_shifted(circuits, sums, rows)):
        chosen = circuits[k].parameters if parameters[k] is None else parameters[k]
        assert list(result.metadata[k]["parameters"]) == list(chosen)
        assert_close(result.gradients[k], theirs[[list(circuits[k].parameters).index(p) for p in chosen]], 1e-10)


def test_one_run_forward_and_one_backward_serve_a_whole_batch(monkeypatch):
    circuit = efficient_su2(3, reps=1)
    sums = [SparsePauliOp("ZIZ"), SparsePauliOp("XXY")]
    rows = random_rows(np.random.default_rng(8), circuit, 20)
    calls = []
    for name in ("forward", "backward"):
        run = getattr(expectations.ExactEngine, name)
        monkeypatch.setattr(expectations.ExactEngine, name, lambda *args, run=run: calls.append(run) or run(*args))
    _gradients([circuit] * 20, [sums[k % 2] for k in range(20)], rows)
    assert len(calls) == 2


def test_what_does_not_fit_at_once_is_run_in_parts(monkeypatch):
    rng = np.random.default_rng(4)
    circuit = random_circuit(rng, 3, shiftable=True)
    sums = [random_sum(rng, 3, terms=terms) for terms in (1, 4, 4, 16)]
    arguments = [circuit] * 4, sums, random_rows(rng, circuit, 4)
    monkeypatch.setattr(expectations, "_NUMBERS_AT_ONCE", 2 * 16 * 8)  # two bases of one block
    expectations.plan_readouts.cache_clear()
    ours = _gradients(*arguments)
    expectations.plan_readouts.cache_clear()
    for mine, theirs in zip(ours, _shifted(*arguments), strict=True):
        assert_close(mine, theirs, 1e-10)


def test_a_parameter_of_the_global_phase_alone_has_no_gradient():
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(1, global_phase=2 * a)
    circuit.ry(b, 0)
    assert_close(_gradients([circuit], [SparsePauliOp("Z")], [[0.3, 0.4]])[0], [0, -np.sin(0.4)], 1e-12)


def _stock(network):
    return EstimatorQNN(
        circuit=network.circuit,
        observables=network.observables,
        input_params=network.input_params,
        weight_params=network.weight_params,
        input_gradients=network.input_gradients,
        estimator=StatevectorEstimator(),
        gradient=ParamShiftEstimatorGradient(StatevectorEstimator()),
        default_precision=0.0,
    )


def _network(circuit, inputs, weights, observables, input_gradients=True):
    return EstimatorQNN(
        circuit=circuit,
        observables=observables,
        input_params=inputs,
        weight_params=weights,
        estimator=AdjointEstimator(),
        gradient=AdjointEstimatorGradient(),
        input_gradients=input_gradients,
    )


def _assert_the_stock_networks(network, rng, samples=2):
    inputs, weights = rng.normal(size=(samples, network.num_inputs)), rng.normal(size=network.num_weights)
    assert_close(network.forward(inputs, weights), _stock(network).forward(inputs, weights), 1e-10)
    for ours, theirs in zip(network.backward(inputs, weights), _stock(network).backward(inputs, weights), strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert ours.shape == theirs.shape
            assert_close(ours, theirs, 1e-10)


@pytest.mark.parametrize("input_gradients", [True, False])
@pytest.mark.parametrize("observables", [None, ["XY"], ["ZI", "YY", "IX"]], ids=["default", "one", "three"])
def test_a_network_is_the_stock_network(input_gradients, observables):
    features, ansatz = zz_feature_map(2, reps=1), real_amplitudes(2, reps=5)  # 12 weights: more than one digit
    circuit = features.compose(ansatz)
    sums = observables and [SparsePauliOp(label, 0.5) for label in observables]
    network = _network(circuit, features.parameters, ansatz.parameters, sums, input_gradients)
    _assert_the_stock_networks(network, np.random.default_rng(0))


@pytest.mark.parametrize("split", [0, 3, len(AWKWARD)], ids=["weights only", "both", "inputs only"])
def test_a_network_with_awkward_names_is_the_stock_network(split):
    circuit = QuantumCircuit(2)
    for k, parameter in enumerate(AWKWARD * 2):
        circuit.append((circuit.rx, circuit.ry)[k % 2](parameter * (1 + k), k % 2)[0].operation, [1 - k % 2])
        circuit.cx(0, 1)
    order = np.random.default_rng(1).permutation(len(AWKWARD))
    shuffled = [AWKWARD[k] for k in order]
    network = _network(circuit, shuffled[:split], shuffled[split:], [SparsePauliOp("YX"), SparsePauliOp("ZI")])
    _assert_the_stock_networks(network, np.random.default_rng(2))


def test_a_transpiled_network_is_the_stock_network():
    features, ansatz = zz_feature_map(2, reps=1), real_amplitudes(2, reps=1)
    circuit = features.compose(ansatz)
    observables = [SparsePauliOp("XY"), SparsePauliOp(["ZI", "IZ"], [0.5, -1])]
    backend = GenericBackendV2(18, coupling_map=[(k, k + 1) for k in range(17)], seed=0)
    manager = generate_preset_pass_manager(1, backend, initial_layout=[11, 9], seed_transpiler=0)
    placed = manager.run(circuit)
    laid_out = [observable.apply_layout(placed.layout) for observable in observables]
    plain = _network(circuit, features.parameters, ansatz.parameters, observables)
    network = _network(placed, features.parameters, ansatz.parameters, laid_out)
    rng = np.random.default_rng(3)
    _assert_the_stock_networks(plain, rng)
    inputs, weights = rng.normal(size=(2, 2)), rng.normal(size=4)
    assert_close(network.forward(inputs, weights), plain.forward(inputs, weights), 1e-10)
    for ours, theirs in zip(network.backward(inputs, weights), plain.backward(inputs, weights), strict=True):
        assert_close(ours, theirs, 1e-10)


def _train(network, steps):
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(6, network.num_inputs, generator=generator) * 2 - 1
    targets = inputs.prod(dim=1, keepdim=True)
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Linear(network.num_inputs, network.num_inputs),
        TorchConnector(network, initial_weights=np.linspace(-1, 1, network.num_weights)),
        torch.nn.Linear(network.output_shape[0], 1),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(inputs) - targets).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_the_stock_connector_trains_along_the_parameter_shifts_curve():
    features, ansatz = zz_feature_map(2, reps=1), real_amplitudes(2, reps=1)
    sums = [SparsePauliOp("ZI"), SparsePauliOp(["XX", "IY"], [0.5, 1.0])]
    network = _network(features.compose(ansatz), features.parameters, ansatz.parameters, sums)
    for ours, theirs in zip(_train(network, 4), _train(_stock(network), 4), strict=True):
        assert_close(ours, theirs, 1e-5)
    losses, _ = _train(network, 60)
    assert losses[-1] < 0.5 * losses[0]


def test_what_stock_gradients_refuse_is_refused():
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("a"), 0)
    z = SparsePauliOp("ZZ")
    for make in (AdjointEstimatorGradient, lambda: ParamShiftEstimatorGradient(StatevectorEstimator())):
        gradient = make()
        assert isinstance(gradient, BaseEstimatorGradient)
        with pytest.raises(ValueError, match="Non-Hermitian"):
            gradient.run([circuit], [SparsePauliOp("ZZ", 1j)], [[0.1]]).result()
        for circuits, sums, rows, parameters, message in [
            ([QuantumCircuit(2)], [z], [[]], None, "not parameterised"),
            ([circuit], [z], [[0.1, 0.2]], None, "number of values"),
            ([circuit], [SparsePauliOp("Z")], [[0.1]], None, "number of qubits"),
            ([circuit], [z], [[0.1]], [[Parameter("b")]], "not present"),
        ]:
            with pytest.raises(ValueError, match=message):
                gradient.run(circuits, sums, rows, parameters)
        assert gradient.run([], [], []).result().gradients == []


def test_a_circuit_that_cannot_run_is_named():
    circuit = QuantumCircuit(1, 1, name="read")
    circuit.rx(Parameter("a"), 0)
    circuit.measure(0, 0)
    circuit.x(0)
    with pytest.raises(CircuitError, match="circuit 'read', instruction 1: 'measure'"):
        _gradients([circuit], [SparsePauliOp("Z")], [[0.1]])
    large = QuantumCircuit(17)
    large.rx(Parameter("a"), range(17))
    with pytest.raises(CircuitError, match=r"at most 16: use EstimatorV2 of qiskit_aer.primitives"):
        _gradients([large], [SparsePauliOp("Z" * 17)], [[0.1]])
    with pytest.raises(ConfigurationError, match="unknown dtype"):
        AdjointEstimatorGradient(dtype="double")


def test_the_documented_example_trains(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    exec(compile(code, str(DOCUMENTATION), "exec"), {})
    losses = [float(line.split()[-1]) for line in capsys.readouterr().out.splitlines()]
    assert len(losses) == 20
    assert losses[-1] < 0.5 * losses[0]

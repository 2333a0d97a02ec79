"""AdjointEstimator gives the expectation values of Qiskit's own statevector, in every form they are asked for."""

import numpy as np
import pytest
from qiskit import transpile
from qiskit.circuit import Parameter, QuantumCircuit
from qiskit.circuit.library import PauliEvolutionGate, UnitaryGate, efficient_su2
from qiskit.primitives import BaseEstimatorV2, StatevectorEstimator
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Operator, Pauli, SparseObservable, SparsePauliOp, Statevector, random_unitary
from qiskit.synthesis import LieTrotter
from random_expectations import assert_close, random_circuit, random_rows, random_sum

from qlam_qiskit.errors import CircuitError, ConfigurationError
from qlam_qiskit.network import AdjointEstimator, expectations


def _evs(*pubs, **options):
    return [result.data.evs for result in AdjointEstimator(**options).run(pubs).result()]


def _stock(*pubs):
    return [result.data.evs for result in StatevectorEstimator().run(pubs).result()]


@pytest.mark.parametrize("seed", range(24))
def test_expectation_values_are_the_statevectors(seed):
    rng = np.random.default_rng(seed)
    qubits = 1 + seed % 5
    circuit, observable = random_circuit(rng, qubits), random_sum(rng, qubits)
    rows = random_rows(rng, circuit, 3)
    states = [Statevector(circuit.assign_parameters(dict(zip(circuit.parameters, row, strict=True)))) for row in rows]
    expected = [state.expectation_value(observable) for state in states]
    assert_close(_evs((circuit, observable, rows))[0], expected, 1e-10)
    assert_close(_evs((circuit, observable, rows), dtype="float32")[0], expected, 1e-4)


@pytest.mark.parametrize(
    ("observables", "values"),
    [((), ()), ((3,), ()), ((), (4,)), ((3, 1), (4,)), ((4,), (4,)), ((2, 1, 3), (2, 1)), ((1,), (0,)), ((3, 1), (0,))],
)
def test_shapes_broadcast_as_in_the_stock_estimator(observables, values):
    rng = np.random.default_rng(0)
    circuit = random_circuit(rng, 3)
    sums = np.empty(observables, object)
    for place in np.ndindex(observables):
        sums[place] = random_sum(rng, 3, terms=1 + sum(place))
    pub = (circuit, sums if observables else sums[()], random_rows(rng, circuit, *values))
    (ours,), (theirs,) = _evs(pub), _stock(pub)
    assert ours.shape == theirs.shape
    assert_close(ours, theirs, 1e-10)


def test_many_pubs_of_some_circuits_share_their_runs(monkeypatch):
    rng = np.random.default_rng(1)
    circuits = [random_circuit(rng, 3) for _ in range(2)]
    rows = [random_rows(rng, circuit, 5) for circuit in circuits]
    pubs = [(circuits[k % 2], random_sum(rng, 3), rows[k % 2][k // 2 :]) for k in range(6)]
    expected = _stock(*pubs)
    runs = []
    run = expectations.ExactEngine.forward
    monkeypatch.setattr(expectations.ExactEngine, "forward", lambda *args: runs.append(args) or run(*args))
    for ours, theirs in zip(_evs(*pubs), expected, strict=True):
        assert_close(ours, theirs, 1e-10)
    assert sum(len(inputs) for _, inputs, *_ in runs) == 10  # five rows of each circuit, whatever is read of them


def test_observables_come_in_all_of_qiskits_forms():
    circuit = efficient_su2(2, reps=1)
    forms = [
        "XY",
        Pauli("YX"),
        {"ZZ": 0.5, "XI": -2.0},
        SparsePauliOp(["XX", "XX", "II"], [1.0, 0.5, 3.0]),
        SparseObservable("YI"),
        SparseObservable("0-"),
        SparseObservable.from_list([("r1", 2.0), ("+Z", 1.0)]),
    ]
    rows = random_rows(np.random.default_rng(2), circuit)
    state = Statevector(circuit.assign_parameters(rows))
    matrices = [Operator(Pauli("XY")), Operator(Pauli("YX")), *(_matrix(form) for form in forms[2:])]
    assert_close(_evs((circuit, forms, rows))[0], [state.expectation_value(matrix) for matrix in matrices], 1e-10)


def _matrix(form):
    if isinstance(form, dict):
        return SparsePauliOp(list(form), list(form.values()))
    return SparsePauliOp.from_sparse_observable(form) if isinstance(form, SparseObservable) else form


def test_values_are_bound_by_name():
    a, b, c = map(Parameter, ("a + b", "a", "b"))
    circuit = QuantumCircuit(1)
    circuit.rx(2 * a, 0)
    circuit.ry(b + c, 0)
    pubs = [(circuit, "Z", {("b", "a + b"): [[0.1, 0.2]], "a": [[0.3]]}), (circuit, "Z", {(a, b, c): [0.2, 0.3, 0.1]})]
    ours, theirs = _evs(*pubs), _stock(*pubs)
    assert_close(ours[0], theirs[0], 1e-12)
    assert_close(ours[1], theirs[1], 1e-12)
    assert_close(ours[0][0], ours[1], 0)


def test_circuits_without_parameters_or_gates():
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    first, second = _evs((bell, ["XX", "YY", "ZI"]), (QuantumCircuit(2), ["ZZ", "XI", "II"]))
    assert_close(first, [1, -1, 0], 1e-12)
    assert_close(second, [1, 0, 1], 1e-12)
    assert list(AdjointEstimator().run([]).result()) == []


def test_precision_is_accepted_and_results_are_exact():
    circuit = efficient_su2(2, reps=1)
    rows = np.tile(random_rows(np.random.default_rng(3), circuit), (2, 1))
    estimator = AdjointEstimator()
    assert isinstance(estimator, BaseEstimatorV2)
    (result,) = estimator.run([(circuit, "XZ", rows)], precision=0.1).result()
    assert_close(result.data.evs, _stock((circuit, "XZ", rows))[0], 1e-12)
    assert result.data.evs[0] == result.data.evs[1]
    assert not result.data.stds.any()
    assert result.metadata["target_precision"] == 0.1
    with pytest.raises(ValueError, match="precision must be non-negative"):
        estimator.run([(circuit, "XZ", rows)], precision=-0.1)


@pytest.mark.parametrize("seed", range(3))
def test_a_circuit_laid_out_on_a_larger_device_is_the_same_circuit(seed):
    rng = np.random.default_rng(seed)
    circuit = random_circuit(rng, 3)
    rows = random_rows(rng, circuit, 2)
    backend = GenericBackendV2(24, coupling_map=[(k, k + 1) for k in range(23)], seed=seed)
    placed = transpile(circuit, backend, initial_layout=[8, 3 + seed, 6], seed_transpiler=seed, optimization_level=1)
    sums = [random_sum(rng, 3) for _ in range(3)]
    laid_out = [[observable.apply_layout(placed.layout)] for observable in sums]
    assert_close(_evs((placed, laid_out, rows))[0], _evs((circuit, [[o] for o in sums], rows))[0], 1e-10)


def test_idle_qubits_are_in_the_state_0():
    circuit = QuantumCircuit(30)
    circuit.h(7)
    circuit.barrier()
    observables = [SparsePauliOp.from_sparse_list([term], 30) for term in [("XZ", [7, 2], 3.0), ("XY", [7, 2], 1.0)]]
    assert_close(_evs((circuit, observables))[0], [3, 0], 1e-12)


def test_a_circuit_changed_in_place_is_compiled_again():
    circuit = QuantumCircuit(1)
    circuit.ry(0.5, 0)
    before = _evs((circuit, "Z"))[0]
    circuit.ry(1e-7, 0)
    assert_close(_evs((circuit, "Z"))[0] - before, np.cos(0.5 + 1e-7) - np.cos(0.5), 1e-14)
    unitaries = [QuantumCircuit(1), QuantumCircuit(1)]
    for seed, other in enumerate(unitaries):
        other.append(UnitaryGate(random_unitary(2, seed=seed)), [0])
    for ours, theirs in zip(_evs(*((c, "X") for c in unitaries)), _stock(*((c, "X") for c in unitaries)), strict=True):
        assert_close(ours, theirs, 1e-12)


def test_what_does_not_fit_at_once_is_run_in_parts(monkeypatch):
    rng = np.random.default_rng(4)
    circuit = random_circuit(rng, 3)
    pub = (circuit, [[random_sum(rng, 3, terms=20)], [random_sum(rng, 3, terms=2)]], random_rows(rng, circuit, 40))
    monkeypatch.setattr(expectations, "_NUMBERS_AT_ONCE", 2 * 16 * 8)  # two bases of one block
    expectations.plan_readouts.cache_clear()
    (ours,), (theirs,) = _evs(pub), _stock(pub)
    expectations.plan_readouts.cache_clear()
    assert_close(ours, theirs, 1e-10)


def _prepared(*steps):
    """Do steps before an ordinary circuit."""
    circuit = QuantumCircuit(3)
    for step in steps:
        step(circuit)
    return circuit.compose(efficient_su2(3, reps=1))


def _reset_and_turned():
    inner = QuantumCircuit(3)
    inner.reset(1)
    inner.h(1)
    return inner.to_instruction()


@pytest.mark.parametrize(
    ("circuit", "reference"),
    [
        (_prepared(lambda c: c.reset([0, 1]), lambda c: c.reset(0)), _prepared()),
        (_prepared(lambda c: c.initialize(0)), _prepared()),
        (_prepared(lambda c: c.initialize("010")), _prepared(lambda c: c.x(1))),
        (
            _prepared(lambda c: c.initialize([0.6, 0.8], 1), lambda c: c.h(0), lambda c: c.initialize("1", 2)),
            _prepared(lambda c: c.ry(2 * np.arccos(0.6), 1), lambda c: c.h(0), lambda c: c.x(2)),
        ),
        (_prepared(lambda c: c.append(_reset_and_turned(), [2, 0, 1])), _prepared(lambda c: c.h(0))),
    ],
)
def test_resets_of_the_start_state_are_nothing_and_initialize_prepares_it(circuit, reference):
    rows = random_rows(np.random.default_rng(5), circuit, 2)
    ours, theirs = ((each, ["XYZ", "ZIZ", "IXI"], rows[:, None]) for each in (circuit, reference))
    assert_close(_evs(ours)[0], _stock(theirs)[0], 1e-10)


def test_final_measurements_are_left_out():
    circuit = efficient_su2(3, reps=1)
    rows = random_rows(np.random.default_rng(6), circuit, 2)
    expected = _stock((circuit, ["XYZ", "ZIZ"], rows[:, None]))[0]
    for measured in (circuit.measure_all(inplace=False), circuit.measure_all(inplace=False)):
        measured.barrier()
        assert_close(_evs((measured, ["XYZ", "ZIZ"], rows[:, None]))[0], expected, 1e-10)
    early = QuantumCircuit(2, 1)
    early.measure(1, 0)  # nothing follows on this qubit
    early.h(0)
    assert_close(_evs((early, ["IX", "ZI"]))[0], [1, 1], 1e-12)


def test_an_evolution_of_terms_that_do_not_commute_is_its_product_formula():
    hamiltonian = SparsePauliOp(["XI", "ZZ", "IX"], [0.5, 0.7, 0.3])
    circuit = QuantumCircuit(2)
    circuit.append(PauliEvolutionGate(hamiltonian, 1.0, synthesis=LieTrotter(reps=2)), [0, 1])
    state = Statevector(circuit.decompose())
    observables = ["ZI", "YZ"]
    assert_close(_evs((circuit, observables))[0], [state.expectation_value(Pauli(o)) for o in observables], 1e-12)
    assert "product formula" in AdjointEstimator.__doc__


def _measured():
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.measure_all()
    circuit.h(0)
    return circuit


def _reset():
    circuit = QuantumCircuit(2)
    circuit.h(1)
    circuit.reset(1)
    return circuit


def _large():
    circuit = QuantumCircuit(20, name="large")
    circuit.h(range(17))
    return circuit


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_measured, r"instruction 2: 'measure' on qubits \[0\] is not supported: the exact engine runs unitary gates"),
        (_reset, r"instruction 1: 'reset' on qubits \[1\] is not supported"),
        (_large, r"'large' has gates on 17 qubits and the exact engine holds at most 16: use .* qiskit_aer"),
    ],
)
def test_a_circuit_that_cannot_run_is_named(make, message):
    circuit = make()
    job = AdjointEstimator().run([(circuit, "Z" * circuit.num_qubits)])
    with pytest.raises(CircuitError, match=message) as caught:
        job.result()
    assert "\n" not in str(caught.value)


def test_what_the_stock_estimator_refuses_is_refused():
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("a"), 0)
    for pub, message in [
        ((circuit, SparsePauliOp("XY", 1j), [0.1]), "Non-Hermitian"),
        ((circuit, "XYZ", [0.1]), "number of qubits"),
        ((circuit, "XY"), "number of values"),
        ((circuit, ["XY", "YY"], [[0.1], [0.2], [0.3]]), "not broadcastable"),
    ]:
        for estimator in (StatevectorEstimator(), AdjointEstimator()):
            with pytest.raises(ValueError, match=message):
                estimator.run([pub])
    with pytest.raises(ConfigurationError, match="unknown dtype 'half'; allowed: float32, float64"):
        AdjointEstimator(dtype="half")

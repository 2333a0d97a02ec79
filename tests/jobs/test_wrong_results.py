"""A result is believed only when it fits its plan; what does not is kept aside, named, and asked for again."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from loopback import Fault, wrong_results
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter, ParameterVector
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparsePauliOp

from qlam_qiskit import jobs
from qlam_qiskit.backends import make_spec, open_backend
from qlam_qiskit.cli.jobs import jobs as jobs_command
from qlam_qiskit.jobs import JobError, JobState, files
from qlam_qiskit.jobs.expected import ExpectedPub, ExpectedResult
from qlam_qiskit.jobs.faults import DamagedResultError, WrongResultError

RESULTS = "GET /jobs/{id}/results"


def _pub(backend, angle, shots=512):
    """Make a pub of three bits in two registers; ``angle`` makes its result differ from others'."""
    low, high = ClassicalRegister(1, "low"), ClassicalRegister(2, "high")
    circuit = QuantumCircuit(QuantumRegister(3), low, high)
    angles = ParameterVector("a", 3)
    for qubit in range(3):
        circuit.ry(angles[qubit], qubit)
    circuit.measure(0, low)
    circuit.measure([1, 2], high)
    return SamplerPub.coerce((backend.isa(circuit), [[angle, 0, np.pi], [0, np.pi, angle]], shots))


@pytest.fixture
def submitted(open_service, ledger, patience):
    """Two jobs alike in shape, of two pubs alike in shape each."""

    def make(**settings):
        backend = open_service(**settings)
        pubs = [[_pub(backend, 0.0), _pub(backend, np.pi)], [_pub(backend, np.pi), _pub(backend, 0.0)]]
        return jobs.submit_pubs(pubs, backend, ledger, **patience)

    return make


def _ones(ledger, submission):
    """Return the mean of the low register, [job, pub, row]."""
    found = jobs.results(ledger, submission.id)
    return [[pub.data.low.to_bool_array().mean(axis=(1, 2)).tolist() for pub in job] for job in found]


RIGHT = [[[0, 0], [1, 0]], [[1, 0], [0, 0]]]


def _aside(ledger, submission):
    return sorted(path.name for path in (ledger.home / "submissions" / submission.id).glob("*/not-believed-*"))


@pytest.mark.parametrize("generation", ["v2", "executor"])
@pytest.mark.parametrize("how", [*wrong_results.WAYS, "another"])
def test_a_wrong_result_is_kept_aside_and_asked_for_again(submitted, ledger, server, patience, generation, how):
    sent = submitted(generation=generation)
    fault = {"action": "another"} if how == "another" else {"action": "wrong", "payload": {"how": how}}
    if how == "another":
        jobs.fetch(ledger, sent.id, **patience)  # the other job has a result, and ours has to be fetched again
        files.put_aside(ledger.home, sent.id, 0).unlink()
    server.state.faults.add(Fault(RESULTS, times=2, **fault))
    lines = []
    [fetched] = jobs.fetch(ledger, sent.id, report=lines.append, **patience)
    assert fetched.complete and fetched.problems == () and len(server.state.accepted) == 2
    assert _ones(ledger, sent) == RIGHT
    said = [line for line in lines if "the result is not this job's" in line or "the result cannot be decoded" in line]
    assert len(said) == 1, lines
    if "cannot be decoded" not in said[0]:
        assert len(_aside(ledger, sent)) == 1 and _aside(ledger, sent)[0] in said[0]


@pytest.mark.parametrize("generation", ["v2", "executor"])
def test_commands_fail_until_the_result_is_right(submitted, ledger, server, monkeypatch, generation):
    monkeypatch.setattr("qlam_qiskit.jobs.policy.Policy.pause", lambda self, attempt: 0.0)
    monkeypatch.setenv("QLAM_HOME", str(ledger.home))
    sent = submitted(generation=generation)
    server.state.faults.add(Fault(RESULTS, "wrong", times=None, payload={"how": "half the shots"}))
    for command in (["fetch", sent.id], ["resume", sent.id], ["resume", sent.id, "--failed"], ["fetch"], ["resume"]):
        result = CliRunner().invoke(jobs_command, [*command, "--json"])
        assert result.exit_code == 1, command
        problems = json.loads(result.stdout)["submissions"][0]["problems"]
        assert len(problems) == 2 and "it has 256 shots, and 512 were asked for; kept as not-believed-" in problems[0]
        assert "\n" not in problems[0]
        with pytest.raises(JobError, match="is not complete"):
            jobs.results(ledger, sent.id)
    assert 1 <= len(_aside(ledger, sent)) <= 4
    server.state.faults.clear()
    assert CliRunner().invoke(jobs_command, ["resume", sent.id]).exit_code == 0
    assert _ones(ledger, sent) == RIGHT and len(server.state.accepted) == 2


@pytest.mark.parametrize("how", ["half the shots", "bits of 2", "an extra register", "another job's", "cut", "empty"])
def test_what_was_saved_wrong_before_is_found_when_it_is_read(submitted, ledger, server, patience, how):
    sent = submitted()
    jobs.fetch(ledger, sent.id, **patience)
    path = files.result_file(ledger.home, sent.id, 0)
    result, about = files.read_result(ledger.home, sent.id, 0)
    if how == "another job's":
        path.write_bytes(files.result_file(ledger.home, sent.id, 1).read_bytes())
    elif how in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[:100] if how == "cut" else b"")
    else:
        files.write_result(ledger.home, sent.id, 0, _altered(result, how), about)
    with pytest.raises(JobError, match=r"result\.npz: .*; .*`qlam jobs (resume|fetch) .* again$"):
        jobs.results(ledger, sent.id)
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert fetched.complete and _ones(ledger, sent) == RIGHT and len(server.state.accepted) == 2
    assert len(_aside(ledger, sent)) == 1


def _altered(result, how):
    pubs = []
    for pub in result:
        bits = dict(pub.data.items())
        if how == "half the shots":
            bits = {name: value.slice_shots(range(256)) for name, value in bits.items()}
        elif how == "bits of 2":
            bits["low"].array[..., 0] |= 2
        else:
            bits["another"] = bits["low"]
        pubs.append(SamplerPubResult(DataBin(**bits, shape=pub.data.shape), pub.metadata))
    return PrimitiveResult(pubs, metadata=result.metadata)


def test_a_wrong_result_of_this_machine_is_run_again(ledger, patience):
    backend = open_backend(make_spec("here", {"kind": "aer", "seed": 1}, "test"))
    sent = jobs.submit_pubs([[_pub(backend, 0.0)]], backend, ledger, **patience)
    result, about = files.read_result(ledger.home, sent.id, 0)
    files.write_result(ledger.home, sent.id, 0, _altered(result, "half the shots"), about)
    [fetched] = jobs.fetch(ledger, sent.id, **patience)
    assert fetched.problems and fetched.jobs[0].state is JobState.FAILED
    assert jobs.resume(ledger, sent.id, failed=True, **patience)[0].complete
    again, _ = files.read_result(ledger.home, sent.id, 0)
    assert again[0].data.low == result[0].data.low


def test_a_provider_that_answers_wrongly_is_not_believed(ledger, patience, monkeypatch):
    backend = open_backend(make_spec("here", {"kind": "aer", "seed": 1}, "test"))
    primitive = type(backend.sampler())
    right = primitive.run
    monkeypatch.setattr(primitive, "run", lambda self, pubs, **options: right(self, [_pub(backend, 0.0, 100)]))
    with pytest.raises(JobError, match="it has 100 shots, and 512 were asked for"):
        jobs.submit_pubs([[_pub(backend, 0.0)]], backend, ledger, **patience)


@pytest.mark.parametrize("how", wrong_results.VALUES)
@pytest.mark.parametrize("level", [0, 1])
def test_expectation_values_are_compared_with_what_can_be(open_service, ledger, server, patience, how, level):
    backend = open_service(primitive="estimator", resilience_level=level)
    sent = jobs.submit_pubs([[_estimator_pub(backend)]], backend, ledger, **patience)
    server.state.faults.add(Fault(RESULTS, "wrong", times=1, payload={"how": how}))
    lines = []
    [fetched] = jobs.fetch(ledger, sent.id, report=lines.append, **patience)
    assert fetched.complete and len([line for line in lines if "the result is not this job's" in line]) == 1
    assert jobs.results(ledger, sent.id)[0][0].data.evs == pytest.approx(np.array([[1, -1], [1, 1]]), abs=0.3)


@pytest.mark.parametrize("how", ["half the shots", "ten times the shots", "bits of 2", "fewer pubs"])
@pytest.mark.parametrize("level", [0, 1])
def test_the_raw_bits_behind_expectation_values_are_checked(open_service, ledger, server, patience, how, level):
    backend = open_service(primitive="estimator", resilience_level=level, generation="executor")
    sent = jobs.submit_pubs([[_estimator_pub(backend)]], backend, ledger, **patience)
    server.state.faults.add(Fault(RESULTS, "wrong", times=1, payload={"how": how}))
    lines = []
    assert jobs.fetch(ledger, sent.id, report=lines.append, **patience)[0].complete
    assert len(lines) == 1, lines


def test_the_expectation_values_of_another_job_are_not_believed(open_service, ledger, server, patience):
    """Their circuits' metadata come back from the client-side estimator."""
    backend = open_service(primitive="estimator", generation="executor")
    sent = jobs.submit_pubs([[_estimator_pub(backend)]] * 2, backend, ledger, **patience)
    jobs.fetch(ledger, sent.id, **patience)
    files.put_aside(ledger.home, sent.id, 0)
    server.state.faults.add(Fault(RESULTS, "another"))
    lines = []
    assert jobs.fetch(ledger, sent.id, report=lines.append, **patience)[0].complete
    assert any("it is the result of another job" in line for line in lines)


def _estimator_pub(backend):
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    isa = backend.isa(circuit)
    strings = [[SparsePauliOp("IZ").apply_layout(isa.layout)], [SparsePauliOp("ZI").apply_layout(isa.layout)]]
    return EstimatorPub.coerce((isa, strings, [[0.0], [3.14159265]], 0.05))


def test_twirled_shots_are_whole_randomizations(open_service, ledger, patience):
    """A thousand shots are 16 randomizations of 64; the service answers with 1,024."""
    backend = open_service(generation="executor", twirling={"measure": True})
    sent = jobs.submit_pubs([[_pub(backend, 0.0, shots=1000)]], backend, ledger, **patience)
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete
    assert jobs.results(ledger, sent.id)[0][0].data.low.num_shots == 1024


def test_jobs_of_older_versions_are_known_by_their_circuits(submitted, ledger, server, patience):
    """Their inputs do not say what is expected, and their registers were sent by their own names."""
    sent = submitted()
    path = files.job_folder(ledger.home, sent.id, 0) / "inputs.npz"
    manifest, arrays = files.read_archive(path)
    files.write_archive(path, {"pubs": manifest["pubs"]}, arrays)
    job = server.state.jobs[sent.jobs[0].remote_id]
    plain = files.read_inputs(ledger.home, sent.id, 0)
    job.params["pubs"] = [[pub.circuit, pub.parameter_values.as_array(), pub.shots] for pub in plain]
    from qiskit_ibm_runtime.json import RuntimeEncoder

    job.params = json.loads(json.dumps(job.params, cls=RuntimeEncoder))
    assert jobs.fetch(ledger, sent.id, **patience)[0].complete
    assert _ones(ledger, sent) == RIGHT


# What the one function says, case by case.

EXPECTED = ExpectedResult((ExpectedPub((2,), {"c": 3}, 5),))


def _bits(shape=(2,), shots=5, bits=3, **extra):
    array = np.zeros((*shape, shots, 1), dtype=np.uint8)
    return SamplerPubResult(DataBin(c=BitArray(array, bits), **extra, shape=shape))


@pytest.mark.parametrize(
    ("pubs", "words"),
    [
        ([], "answers 0 circuits, and 1 were"),
        ([_bits(), _bits()], "answers 2 circuits"),
        ([_bits((3,))], r"shape is \(3,\), and \(2,\)"),
        ([_bits(shots=1)], "has 1 shots, and 5"),
        ([_bits(bits=2)], "2 bits, and 3"),
        ([_bits(other=np.zeros(2))], "not asked for: other"),
        ([PubResult(DataBin(c=np.zeros((2, 5)), shape=(2,)))], "holds ndarray, not bits"),
    ],
)
def test_what_is_not_expected_is_named(pubs, words):
    assert EXPECTED.check(PrimitiveResult([_bits()]))
    with pytest.raises(WrongResultError, match=words):
        EXPECTED.check(PrimitiveResult(pubs))


def test_what_is_no_result_at_all_was_cut_short():
    with pytest.raises(DamagedResultError, match="cut short"):
        EXPECTED.check("{'data")

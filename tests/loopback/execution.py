"""Executes the parameters of a job with Aer and encodes the result as the service does, for each program."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import numpy as np
from ibm_quantum_schemas.common import CompressedTensorModel
from ibm_quantum_schemas.executor.version_2_0 import QuantumProgramResultModel
from qiskit.circuit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin, EstimatorPub, PrimitiveResult, PubResult, SamplerPubResult
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer.primitives import EstimatorV2
from qiskit_ibm_runtime.fake_provider.executor.broadcast_sample import broadcast_sample
from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder
from qiskit_ibm_runtime.quantum_program.params_converters import QUANTUM_PROGRAM_PARAMS_CONVERTERS
from samplomatic.quantum_program import SamplexItem

from loopback import devices
from loopback.sampling import parameter_values, sample


class JobFailed(Exception):
    """The service would end this job with status Failed, and this as the reason."""

    def __init__(self, reason: str, code: int):
        super().__init__(reason)
        self.code = code


def execute(program: str, params: dict, device: str, noisy: bool, seed: int) -> str:
    """Run a job; returns the text of its result. Raises JobFailed for what the service would refuse to run."""
    noise = device if noisy else None
    if program == "executor":
        return _run_executor(params, device, noise, seed)
    decoded = json.loads(json.dumps(params), cls=RuntimeDecoder)
    options = decoded.get("options") or {}
    if program == "sampler":
        result = _run_sampler(decoded["pubs"], options, device, noise, seed)
    elif program == "estimator":
        result = _run_estimator(decoded["pubs"], options, device, seed)
    else:
        raise JobFailed(f"Program {program} not found", 1300)
    return json.dumps(result, cls=RuntimeEncoder)


def _run_sampler(pubs: list, options: dict, device: str, noise: str | None, seed: int) -> PrimitiveResult:
    results = []
    for index, (circuit, given, shots) in enumerate(pubs):
        _check_isa(circuit, device)
        values = parameter_values(circuit, given)
        registers = sample(circuit, values, shots or options.get("default_shots") or 4096, noise, seed + 1000 * index)
        data = {name: BitArray.from_bool_array(bits, order="little") for name, bits in registers.items()}
        results.append(SamplerPubResult(DataBin(**data, shape=values.shape[:-1]), {"circuit_metadata": {}}))
    return PrimitiveResult(results, metadata={"version": 2})


def _run_estimator(pubs: list, options: dict, device: str, seed: int) -> PrimitiveResult:
    shots = options.get("default_shots")
    default = 1 / math.sqrt(shots) if shots else options.get("default_precision") or 0.015625
    results = []
    for index, (circuit, observables, values, precision) in enumerate(pubs):
        _check_isa(circuit, device)
        small, active = _active_part(circuit)
        reduced = _restrict_all(observables, active)
        pub = EstimatorPub.coerce((small, reduced, values), precision or default)
        estimator = EstimatorV2(options={"run_options": {"seed_simulator": seed + index}})
        exact = EstimatorPub.coerce((small, reduced, values), 0.0)
        data = estimator.run([exact]).result()[0].data
        rng = np.random.default_rng([seed, index])
        evs = np.clip(data.evs + rng.normal(0, pub.precision, np.shape(data.evs)), -1, 1)
        stds = np.full(np.shape(evs), pub.precision)
        results.append(PubResult(DataBin(evs=evs, stds=stds, shape=np.shape(evs)), {"target_precision": pub.precision}))
    return PrimitiveResult(results, metadata={"version": 2})


def _run_executor(params: dict, device: str, noise: str | None, seed: int) -> str:
    converter = QUANTUM_PROGRAM_PARAMS_CONVERTERS[params.get("schema_version", "v2.0")]
    program, _ = converter.decoder(converter.model.model_validate(params))
    rng = np.random.default_rng(seed)
    started = datetime.datetime.now(datetime.UTC)
    result = []
    for index, item in enumerate(program.items):
        _check_isa(item.circuit, device)
        extra, given = {}, getattr(item, "circuit_arguments", None)
        if isinstance(item, SamplexItem):
            item.samplex.finalize()
            extra = broadcast_sample(item.samplex, item.samplex_arguments, item.shape, rng)
            given = extra.pop("parameter_values")
        values = parameter_values(item.circuit, given)
        result.append({**extra, **sample(item.circuit, values, program.shots, noise, seed + 1000 * index)})
    finished = datetime.datetime.now(datetime.UTC)
    parts = []
    for index, item in enumerate(program.items):
        size = math.prod(item.shape)
        order = list(range(len(item.shape)))
        parts.append({"idx_item": index, "size": size, "permutation": order, "element_range": (0, size, 1)})
    model = QuantumProgramResultModel(
        data=[
            {
                "results": {name: CompressedTensorModel.from_numpy(values) for name, values in item.items()},
                "metadata": {},
            }
            for item in result
        ],
        metadata={"chunk_timing": [{"start": started, "stop": finished, "parts": parts}]},
        passthrough_data=params["quantum_program"].get("passthrough_data"),
        semantic_role=params["quantum_program"].get("semantic_role"),
    )
    return model.model_dump_json()


def _active_qubits(circuit: QuantumCircuit) -> list[int]:
    used = {qubit for item in circuit.data if item.name not in ("barrier", "delay") for qubit in item.qubits}
    return sorted(circuit.find_bit(qubit).index for qubit in used)


def _check_isa(circuit: QuantumCircuit, device: str) -> None:
    """Fail the job as the service does when a circuit was not transpiled for the device."""
    configuration = devices.configuration(device)
    gates = {*configuration["basis_gates"], *configuration.get("supported_instructions", [])}
    gates |= {"measure", "barrier", "delay", "reset", "id"}
    edges = {tuple(edge) for edge in configuration["coupling_map"]}
    for instruction in circuit.data:
        name = instruction.operation.name
        qubits = tuple(circuit.find_bit(qubit).index for qubit in instruction.qubits)
        wrong = name not in gates or any(qubit >= configuration["n_qubits"] for qubit in qubits)
        if name != "barrier" and len(qubits) == 2:
            wrong = wrong or not {qubits, qubits[::-1]} & edges
        if wrong:
            raise JobFailed(f"The instruction {name} on qubits {qubits} is not supported by the target system.", 1517)


def _active_part(circuit: QuantumCircuit) -> tuple[QuantumCircuit, list[int]]:
    """Drop the idle qubits of a device-wide circuit; returns the rest and the indices that were kept."""
    active = _active_qubits(circuit)
    place = {index: position for position, index in enumerate(active)}
    small = QuantumCircuit(max(len(active), 1))
    for item in circuit.data:
        if item.name not in ("barrier", "delay"):
            small.append(item.operation, [place[circuit.find_bit(qubit).index] for qubit in item.qubits])
    return small, active


def _restrict_all(observables: Any, active: list[int]) -> Any:
    if isinstance(observables, list):
        return [_restrict_all(entry, active) for entry in observables]
    return _restrict(observables, active)


def _restrict(terms: dict[str, float], active: list[int]) -> SparsePauliOp:
    """Restrict an observable to the active qubits; idle ones are in state 0, so Z there is 1 and X, Y are 0."""
    labels, weights = [], []
    for label, weight in terms.items():
        pauli = label[::-1]
        idle = {pauli[index] for index in range(len(pauli)) if index not in active}
        labels.append("".join(pauli[index] for index in active)[::-1] or "I")
        weights.append(0.0 if idle & {"X", "Y"} else weight)
    return SparsePauliOp(labels, weights)

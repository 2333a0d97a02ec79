"""The least memory that training or running a model takes, told from its settings before any of it is asked for."""

from __future__ import annotations

from math import comb

from qlam_qiskit.baselines import (
    BaselineSettings,
    DelaySettings,
    EchoStateSettings,
    FixedSettings,
    LinearRecurrentSettings,
    RecurrentSettings,
    ReservoirSettings,
    SelectiveSettings,
    TransformerSettings,
)
from qlam_qiskit.data import SequenceData
from qlam_qiskit.machine_memory import check_memory
from qlam_qiskit.model import EmbeddingSettings, ModelSettings
from qlam_qiskit.runs.experiment import AnyModelSettings

_NUMBER = 4  # bytes of a float32
_COPIES = 4  # a weight, its gradient, and Adam's two moments
_GATES = {"rnn": 1, "gru": 3, "lstm": 4}


def check_model_memory(settings: AnyModelSettings, data: SequenceData, batch_size: int = 1) -> None:
    """Raise ConfigurationError when a model of these settings cannot fit the machine.

    Parameters
    ----------
    batch_size
        Samples that run together; more than the training split holds count as that many.
    """
    batch = min(batch_size, max(len(data.train), 1))
    answers = (1 if data.every_step else data.num_answers) * data.num_classes
    if isinstance(settings, ModelSettings):
        weights, held = _qlam(settings, data.steps, data.token_size, answers)
    else:
        weights, held = _baseline(settings, data.steps, data.token_size, answers)
    copies = 1 if isinstance(settings, ReservoirSettings) else _COPIES
    needed = _NUMBER * (copies * weights + batch * held)
    check_memory(needed, f"a model of these sizes ({weights:,} weights or more, {batch:,} sequences at once)")


def _qlam(settings: ModelSettings, steps: int, token_size: int, answers: int) -> tuple[int, int]:
    """Count the weights, and the numbers kept for one sample; an update has one input angle at least."""
    qubits, readout = settings.circuit.qubits, settings.readout
    weights_read = range(1, readout.max_weight + 1)
    strings = 2**qubits - 1 if readout.kind == "probabilities" else sum(comb(qubits, k) for k in weights_read)
    strings = 1 if readout.kind == "emissions" else strings  # how many ancillas emit, only the circuit knows
    width, queries = settings.embedding.width, settings.registers * settings.queries.count
    query_size = {"learned": 1, "last_token": width, "given": settings.queries.size or 1}[settings.queries.kind]
    weights = held = 0
    for layer in range(settings.layers):
        embedding, embedded = _embedding(settings.embedding, steps, token_size)
        times = readout.times if layer == settings.layers - 1 else steps
        token_size = queries * strings
        weights += embedding + width * settings.registers + query_size * queries
        held += embedded + steps * settings.registers + times * token_size + settings.registers * 2**qubits
    return weights + readout.times * token_size * answers, held


def _baseline(settings: BaselineSettings, steps: int, token_size: int, answers: int) -> tuple[int, int]:
    if isinstance(settings, FixedSettings):
        kept = settings.width * (token_size if isinstance(settings, DelaySettings) else 1)
        drawn = settings.width**2 if isinstance(settings, EchoStateSettings) else 0
        return drawn + settings.readout.times * kept * answers, steps * kept
    width, embedding_width = settings.width, settings.embedding.width
    embedding, embedded = _embedding(settings.embedding, steps, token_size)
    first, kept = embedding_width * width, width
    if isinstance(settings, RecurrentSettings):
        layer = _GATES[settings.kind] * width * width
        first *= _GATES[settings.kind]
    elif isinstance(settings, TransformerSettings):
        layer = (4 + 2 * settings.feedforward) * width * width
    else:
        layer = width * settings.state
        if isinstance(settings, LinearRecurrentSettings):
            kept = 2 * settings.state
        elif isinstance(settings, SelectiveSettings):
            kept = 2 * width * settings.state
    memories = 2 if getattr(settings, "directions", "forward") == "both" else 1
    weights = memories * (first + settings.layers * layer + settings.readout.times * width * answers)
    return embedding + weights, embedded + memories * settings.layers * steps * kept


def _embedding(settings: EmbeddingSettings, steps: int, token_size: int) -> tuple[int, int]:
    kernel = settings.kernel if settings.kind == "convolution" else 1
    return kernel * token_size * settings.width, steps * (kernel * token_size + settings.width)

"""Models on samples of different lengths: each sample's answer and gradient are those that it has alone."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from qiskit.primitives import StatevectorEstimator, StatevectorSampler
from qiskit.quantum_info import Statevector
from qiskit.transpiler import generate_preset_pass_manager
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import SamplerV2

from qlam_qiskit.baselines import (
    Baseline,
    RecurrentSettings,
    SelectiveSettings,
    StateSpaceSettings,
    TransformerSettings,
)
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.model.sampling import (
    readouts_from_emissions,
    readouts_from_expectations,
    readouts_from_probabilities,
    sampler_pubs,
)
from qlam_qiskit.network import ExactExecution, PrimitiveExecution

LENGTHS = [7, 3, 5, 3, 4]
STEPS = max(LENGTHS)
SMALL = {"embedding": {"width": 3, "kernel": 2}, "time_scale": 0.7, "weight_scale": 0.5, "weight_std": 0.5}


def _exact(memory, readout, steps, readout_steps):
    return ExactExecution.of(memory, readout, readout_steps, precision="float64", threads=1)


def _settings(template="line", **options):
    return ModelSettings(circuit={"template": template, "qubits": 2}, **SMALL, **options)


def _model(settings, execution=_exact, steps=STEPS, every_step=False):
    torch.manual_seed(0)
    if isinstance(settings, ModelSettings):
        model = QLAM(settings, steps=steps, token_size=2, classes=3, execution=execution, every_step=every_step)
    else:
        model = Baseline(settings, steps=steps, token_size=2, classes=3, every_step=every_step)
    return model.double()


def _tokens():
    tokens = torch.randn(len(LENGTHS), STEPS, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for sample, length in enumerate(LENGTHS):
        tokens[sample, length:] = torch.nan
    return tokens


BASELINE = {"embedding": {"width": 3, "kernel": 2}, "width": 4}
CASES = {
    "plain": (_settings(), False),
    "several readings": (_settings(readout={"times": 3}), False),
    "backwards": (_settings(registers=2, directions="both", queries={"kind": "last_token"}), False),
    "two layers": (_settings(layers=2, registers=2, directions="both"), False),
    "means": (_settings(readout={"pooling": "mean", "times": 2}), False),
    "open": (_settings("damped_line", queries={"kind": "last_token", "count": 2}), False),
    "open means": (_settings("damped_line", readout={"pooling": "mean", "times": 2}), False),
    "emissions": (_settings("damped_line", readout={"kind": "emissions", "times": 2}), False),
    "every step": (_settings(registers=2, directions="both", readout={"kind": "z_strings"}), True),
    "emissions of every step": (_settings("damped_line", readout={"kind": "emissions"}), True),
    "gru": (RecurrentSettings(kind="gru", directions="both", **BASELINE), False),
    "gru means": (RecurrentSettings(kind="gru", readout={"pooling": "mean", "times": 2}, **BASELINE), False),
    "gru of every step": (RecurrentSettings(kind="gru", directions="both", **BASELINE), True),
    "s4d": (StateSpaceSettings(kind="s4d", state=4, readout={"times": 2}, **BASELINE), False),
    "mamba": (SelectiveSettings(kind="mamba", state=4, readout={"times": 2}, **BASELINE), False),
    "selective step": (_settings(time_step="selective"), False),
    "transformer": (
        TransformerSettings(kind="transformer", heads=2, layers=2, positions="sinusoidal", **BASELINE),
        False,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_answers_and_gradients_are_those_of_samples_alone(case):
    settings, every_step = CASES[case]
    model, tokens = _model(settings, every_step=every_step), _tokens().requires_grad_()
    outputs = model(tokens)
    slopes = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(2), dtype=outputs.dtype)
    if every_step:
        slopes[torch.arange(STEPS) >= torch.tensor(LENGTHS)[:, None]] = 0
    (outputs * slopes).sum().backward()
    total = [torch.zeros_like(parameter) for parameter in model.parameters()]
    for sample, length in enumerate(LENGTHS):
        alone = _model(settings, steps=length, every_step=every_step)
        weights = {name: value for name, value in model.state_dict().items() if "positions" not in name}
        alone.load_state_dict(weights)
        own = tokens.detach()[sample : sample + 1, :length].requires_grad_()
        found = alone(own)
        answers = found.shape[1]
        torch.testing.assert_close(outputs[sample : sample + 1, :answers], found, rtol=0, atol=1e-6)
        (found * slopes[sample : sample + 1, :answers]).sum().backward()
        torch.testing.assert_close(tokens.grad[sample, :length], own.grad[0], rtol=0, atol=1e-6)
        assert not tokens.grad[sample, length:].any()
        for part, parameter in zip(total, alone.parameters(), strict=True):
            part += 0 if parameter.grad is None else parameter.grad
    for part, parameter in zip(total, model.parameters(), strict=True):
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        torch.testing.assert_close(part, expected, rtol=0, atol=1e-6)


@dataclass
class _Backend:
    """Qiskit's own primitives as an open backend."""

    shots: int | None = None
    rng: None = None

    def isa(self, circuit):
        return circuit

    def estimator(self):
        return StatevectorEstimator()

    def sampler(self):
        return StatevectorSampler(default_shots=self.shots, seed=3)


@pytest.mark.parametrize(
    ("case", "gradient"),
    [
        *((case, "adjoint") for case in ("several readings", "backwards", "two layers", "means", "every step")),
        ("backwards", "param_shift"),
    ],
)
def test_circuits_of_their_own_lengths_give_the_engines_numbers(case, gradient):
    def execution(memory, readout, steps, readout_steps):
        options = {"steps": steps, "readout_steps": readout_steps, "gradient": gradient}
        return PrimitiveExecution(memory, readout, _Backend(), **options)

    settings, every_step = CASES[case]
    found = []
    for model in (_model(settings, every_step=every_step), _model(settings, execution, every_step=every_step)):
        tokens = _tokens().requires_grad_()
        outputs = model(tokens)
        if every_step:
            outputs = outputs[torch.arange(STEPS) < torch.tensor(LENGTHS)[:, None]]
        outputs.square().sum().backward()
        found.append((outputs.detach(), tokens.grad, model.layers[0].memory._weights.grad))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("case", ["several readings", "backwards", "means", "every step"])
def test_pubs_of_a_padded_batch_read_what_the_engine_reads(case):
    settings, every_step = CASES[case]
    model, tokens = _model(settings, every_step=every_step).eval(), _tokens()
    pubs = sampler_pubs(model, tokens)
    assert max(pub.circuit.depth() for pub in pubs) > min(pub.circuit.depth() for pub in pubs)
    tables = []
    for pub in pubs:
        circuit = pub.circuit.remove_final_measurements(inplace=False)
        bound = pub.parameter_values.as_array(circuit.parameters)
        tables.append(np.array([Statevector(circuit.assign_parameters(row)).probabilities() for row in bound]))
    lengths = np.array(LENGTHS)
    readouts = readouts_from_probabilities(model, tables, lengths)
    with torch.no_grad():
        expected = model.read(tokens)
    torch.testing.assert_close(readouts.double(), expected, rtol=0, atol=1e-6)
    network = model.layers[0].memory.neural_network
    if network.readout.kind == "z_strings":
        strings = [network.readout.from_probabilities(table) for table in tables]
        torch.testing.assert_close(
            readouts_from_expectations(model, strings, lengths).double(), expected, rtol=0, atol=1e-6
        )


@pytest.mark.parametrize("case", ["several readings", "means", "every step", "emissions", "emissions of every step"])
def test_shots_of_a_padded_batch_scatter_around_the_exact_readouts(case):
    def shots(memory, readout, steps, readout_steps):
        options = {"shots": 20_000, "rng": np.random.default_rng(1), "precision": "float64", "threads": 1}
        return ExactExecution.of(memory, readout, readout_steps, **options)

    settings, every_step = CASES[case]
    with torch.no_grad():
        exact, drawn = (_model(settings, one, every_step=every_step).eval().read(_tokens()) for one in (_exact, shots))
    torch.testing.assert_close(drawn, exact, rtol=0, atol=0.06)
    assert not torch.equal(drawn, exact)


def test_emissions_of_shorter_samples_are_counted_over_their_own_steps():
    settings, _ = CASES["emissions"]
    model, tokens = _model(settings).eval(), _tokens()
    isa = generate_preset_pass_manager(0, backend=AerSimulator())
    pubs = [(isa.run(pub.circuit), pub.parameter_values, 4000) for pub in sampler_pubs(model, tokens)]
    results = SamplerV2(seed=5).run(pubs).result()
    readouts = readouts_from_emissions(model, [result.data.emission for result in results], np.array(LENGTHS))
    with torch.no_grad():
        torch.testing.assert_close(readouts.double(), model.read(tokens), rtol=0, atol=0.04)


def test_what_is_no_padding_is_said():
    model, tokens = _model(_settings()), torch.zeros(2, STEPS, 2, dtype=torch.float64)
    for place in ((0, 2), (0, STEPS - 1, 0), (1,)):
        faulty = tokens.clone()
        faulty[place] = torch.nan
        with pytest.raises(ConfigurationError, match="NaN as padding only"):
            model(faulty)
    with pytest.raises(ConfigurationError, match="at most the 3 steps of the shortest sequence"):
        _model(_settings(readout={"times": 4}))(_tokens())
    with pytest.raises(ConfigurationError, match=r"leave model\.readout\.times"):
        _model(_settings(readout={"times": 4}), every_step=True)

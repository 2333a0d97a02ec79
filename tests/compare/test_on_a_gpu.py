"""Comparisons on a GPU: baselines give the processor's answers and gradients there, and records name the card."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from gpu import needs_gpu, needs_no_gpu
from pydantic import TypeAdapter

from qlam_qiskit.baselines import Baseline, BaselineSettings
from qlam_qiskit.cli import qlam
from qlam_qiskit.compare import Choice, compare, load_comparison
from qlam_qiskit.compare.process import training_process
from qlam_qiskit.errors import ConfigurationError

KINDS = ["rnn", "lstm", "gru", "s4d", "lru", "mamba", "transformer"]


def answers_and_gradients(kind, device, tokens, pooling):
    torch.manual_seed(0)
    embedding = {"kind": "convolution", "width": 6, "kernel": 3}
    values = {"kind": kind, "width": 8, "embedding": embedding, "readout": {"times": 4, "pooling": pooling}}
    values |= {} if kind == "transformer" else {"directions": "both"}
    settings = TypeAdapter(BaselineSettings).validate_python(values)
    model = Baseline(settings, steps=40, token_size=2, classes=3).to(device)
    with training_process(1):
        logits = model(tokens)
        logits.square().sum().backward()
    return [logits.detach(), *(parameter.grad.cpu() for parameter in model.parameters())]


@needs_gpu
@pytest.mark.parametrize("pooling", ["last", "mean"])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_baseline_gives_the_processors_answers_and_gradients(kind, padded, pooling):
    tokens = torch.randn(5, 40, 2, generator=torch.Generator().manual_seed(1))
    if padded:
        tokens[2, 30:] = torch.nan
    expected = answers_and_gradients(kind, "cpu", tokens, pooling)
    found = answers_and_gradients(kind, "cuda", tokens, pooling)
    for one, other in zip(found, expected, strict=True):
        assert one.device.type == "cpu"
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@needs_gpu
def test_records_of_a_comparison_name_the_card(small, quiet):
    records = compare(
        load_comparison("small.yaml"),
        "small",
        lambda job: nullcontext(quiet),
        out=Path("on_gpu"),
        choice=Choice(seeds=[0]),
        say=lambda line: None,
        device="cuda",
    )
    for record in records.runs():
        assert record["environment"]["gpu"] == torch.cuda.get_device_name()
        assert 0 <= record["test_accuracy"] <= 1


@needs_no_gpu
def test_without_a_gpu_one_line_says_so(small):
    for options in [], ["--check"]:
        result = CliRunner().invoke(qlam, ["compare", "small.yaml", "--device", "cuda", *options])
        assert isinstance(result.exception, ConfigurationError)
        assert str(result.exception).startswith("device cuda: torch ")
        assert not result.output
    assert not Path("results").exists()

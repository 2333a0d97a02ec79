"""Normalized readouts: scale and shift leave no trace, and statistics are those of the samples they should be."""

import pytest
import torch

from qlam_qiskit.configuration import check
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.model.normalization import FEWEST_SAMPLES


def make(**sections):
    torch.manual_seed(0)
    values = {
        "circuit": {"template": "line", "qubits": 3},
        "time_scale": 0.5,
        "readout": {"normalize": "batch", "times": 2},
        **sections,
    }
    return QLAM(check(ModelSettings, values, "test"), steps=6, token_size=2, classes=4)


@pytest.fixture
def readouts():
    torch.manual_seed(1)
    return torch.randn(64, 2, 8)


def distort(readouts):
    """Shrink and shift each readout by amounts of its own, as noise does."""
    torch.manual_seed(2)
    return readouts * (0.3 + torch.rand(2, 8)) + torch.randn(2, 8)


def test_scale_and_shift_are_removed_in_training_and_by_own_statistics(readouts):
    model = make()
    for mode, own in ((True, False), (False, True)):
        model.train(mode)
        features = model.features(readouts, own_statistics=own)
        assert features.mean(0).abs().max() < 1e-5
        assert (features.std(0, correction=0) - 1).abs().max() < 1e-4
        changed = model.classify(distort(readouts), own_statistics=own)
        assert torch.allclose(changed, model.classify(readouts, own_statistics=own), atol=1e-3)


def test_spread_is_the_deviation_of_what_the_head_sees_whatever_the_statistics(readouts):
    model, plain = make(readout={"normalize": "batch", "times": 2, "spread": 0.3}), make()
    for one in (model, plain):
        one.normalization.settle([readouts.flatten(1)])
    for mode, own in ((True, False), (False, True), (False, False)):
        model.train(mode), plain.train(mode)
        features = model.features(readouts, own_statistics=own)
        torch.testing.assert_close(features, 0.3 * plain.features(readouts, own_statistics=own))
        torch.testing.assert_close(features.std(0, correction=0), torch.full((16,), 0.3), rtol=1e-4, atol=0)


def test_spread_without_normalization_is_refused():
    with pytest.raises(ConfigurationError, match="spread is that of normalized readouts: it needs normalize: batch"):
        make(readout={"spread": 0.3})


def test_scale_and_shift_of_a_model_that_does_not_normalize_stay(readouts):
    model = make(readout={"times": 2})
    assert model.normalization is None
    assert torch.equal(model.features(readouts, own_statistics=True), readouts.flatten(1))


def test_exact_evaluation_takes_saved_statistics_and_leaves_them(readouts):
    model = make().eval()
    before = model.features(readouts)
    assert torch.allclose(before, readouts.flatten(1))  # mean 0 and deviation 1 until they are known
    assert torch.equal(model.features(readouts[:1]), before[:1])
    model.train().features(readouts)
    assert torch.equal(model.normalization.mean, torch.zeros(16))


@pytest.mark.parametrize("noise", [{}, {"pauli": 0.5, "shots": 5}])
def test_settling_takes_readouts_of_all_batches_with_the_noise_of_training(noise):
    model, tokens = make(noise=noise), torch.randn(50, 6, 2)
    state = torch.get_rng_state()
    model.settle([tokens[:20], tokens[20:]], seed=3)
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    with model.eval().as_trained(3), torch.no_grad():
        read = torch.cat([model.read(part) for part in (tokens[:20], tokens[20:])]).flatten(1)
    assert torch.equal(state, torch.get_rng_state())
    assert torch.allclose(model.normalization.mean, read.mean(0), atol=1e-6)
    assert torch.allclose(model.normalization.std.square(), read.var(0, correction=0), atol=2e-5)
    exact = model.read(tokens).flatten(1)
    assert torch.allclose(exact, read, atol=1e-5) == (not noise)


def test_settling_a_model_that_does_not_normalize_reads_nothing():
    def batches():
        raise AssertionError("read")
        yield

    make(readout={}).settle(batches())


def test_the_fewest_samples_are_enforced(readouts):
    model = make().eval()
    model.classify(readouts[:FEWEST_SAMPLES], own_statistics=True)
    with pytest.raises(ConfigurationError, match=r"model\.readout\.normalize.*at least 16 of them, not 15"):
        model.classify(readouts[: FEWEST_SAMPLES - 1], own_statistics=True)


def test_a_batch_of_one_sample_can_be_trained_on(readouts):
    logits = make()(torch.randn(1, 6, 2))
    assert torch.isfinite(logits).all()
    logits.sum().backward()


def test_a_readout_that_never_changes_stays_finite():
    features = make().train().features(torch.zeros(10, 2, 8))
    assert torch.isfinite(features).all()


def test_another_way_of_normalizing_is_refused():
    with pytest.raises(ConfigurationError, match=r"readout\.normalize: Input should be 'batch'"):
        make(readout={"normalize": "layer"})


def at_every_step(**readout):
    torch.manual_seed(0)
    values = {
        "circuit": {"template": "damped_line", "qubits": 2},
        "time_scale": 0.5,
        "readout": {"normalize": "batch", **readout},
    }
    return QLAM(check(ModelSettings, values, "test"), steps=6, token_size=2, classes=1, every_step=True)


def test_readouts_of_every_step_are_standardized_over_samples_and_steps_alike():
    model, tokens = at_every_step(spread=0.3), torch.randn(20, 6, 2)
    readouts = model.read(tokens)
    assert readouts.shape == (20, 6, 4)
    features = model.features(readouts)
    assert features.shape == readouts.shape
    rows = readouts.flatten(0, 1)
    expected = 0.3 * (rows - rows.mean(0)) / (rows.var(0, correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(features.flatten(0, 1), expected)
    assert model(tokens).shape == (20, 6, 1)
    model.settle([tokens])
    model.eval()
    torch.testing.assert_close(model.normalization.mean, readouts.flatten(0, 1).mean(0), rtol=1e-4, atol=1e-6)
    # One sample, one step after the other: the saved statistics know nothing of the others.
    torch.testing.assert_close(model(tokens)[3:4, :, 0], model(tokens[3:4])[..., 0])


def test_samples_of_different_lengths_are_not_normalized_at_every_step():
    tokens = torch.randn(20, 6, 2)
    tokens[3, 4:] = torch.nan
    with pytest.raises(ConfigurationError, match="normalize: samples that are answered at every step"):
        at_every_step().read(tokens)

"""Generated time series: each system against a recurrence or an integrator of another kind, and what is asked of it."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from qlam_qiskit.data import DataSettings, load_data
from qlam_qiskit.data.series import henon, lorenz, mackey_glass, narma10
from qlam_qiskit.errors import ConfigurationError

SYSTEMS = ("narma10", "mackey_glass", "henon", "lorenz")


def load(**options):
    return load_data(DataSettings(dataset="series", **options))


def test_narma10_follows_its_recurrence():
    (inputs,) = np.random.default_rng(0).uniform(0, 0.5, (1, 60))
    y, u = dict.fromkeys(range(-10, 1), 0.0), dict.fromkeys(range(-10, 0), 0.0) | dict(enumerate(inputs))
    for t in range(59):
        y[t + 1] = 0.3 * y[t] + 0.05 * y[t] * sum(y[t - i] for i in range(10)) + 1.5 * u[t - 9] * u[t] + 0.1
    assert narma10(inputs[None])[0] == pytest.approx([y[t] for t in range(60)], rel=1e-12)


def test_mackey_glass_is_what_the_method_of_steps_integrates():
    found = mackey_glass(np.array([0.9, 1.2]), 86)
    for constant, values in zip((0.9, 1.2), found, strict=True):
        before, x, expected = lambda t, c=constant: c, constant, [constant]
        for begin in range(0, 85, 17):
            slope = lambda t, x, before=before: 0.2 * before(t - 17) / (1 + before(t - 17) ** 10) - 0.1 * x  # noqa: E731
            part = solve_ivp(slope, (begin, begin + 17), [x], rtol=1e-10, atol=1e-12, dense_output=True, max_step=0.5)
            before, x = lambda t, part=part: part.sol(t)[0], part.y[0, -1]
            expected += [part.sol(t)[0] for t in range(begin + 1, begin + 18)]
        assert values == pytest.approx(expected, abs=2e-4)


def test_henon_follows_its_recurrence():
    found = henon(np.array([[0.1, 0.02]]), 30)[0]
    x = [0.02 / 0.3, 0.1]
    for _ in range(29):
        x.append(1 - 1.4 * x[-1] ** 2 + 0.3 * x[-2])
    assert found == pytest.approx(x[1:], rel=1e-9)


def test_lorenz_is_what_an_adaptive_integrator_finds():
    def slope(_, state):
        x, y, z = state
        return 10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z

    start = np.array([1.0, 2.0, 20.0])
    times = 0.05 * np.arange(50)  # later chaos has made much of the smallest error
    expected = solve_ivp(slope, (0, 4), start, t_eval=times, rtol=1e-11, atol=1e-11).y[0]
    assert lorenz(start[None], 50)[0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_asked_is_so_many_steps_ahead_and_standardized(system):
    one, five = (load(system=system, steps=60, washout=7, train_samples=30, test_samples=8, horizon=h) for h in (1, 5))
    assert (one.steps, one.token_size, one.num_classes, one.num_answers) == (60, 1, 1, 60)
    assert one.every_step
    for data in (one, five):
        assert data.train.labels.shape == (30, 60, 1)
        assert data.test.labels.shape == (8, 60, 1)
        assert np.isnan(data.train.labels[:, :7]).all()
        assert np.isfinite(data.train.labels[:, 7:]).all()
        assert np.isfinite(data.test.values).all()
    told = [data.train.labels * data.targets.std + data.targets.mean for data in (one, five)]
    if system == "narma10":
        # Its inputs are of a stream that is as long as it is: see the recurrence instead.
        assert told[0][:, 10:].min() > 0
    else:
        seen = one.train.tokens(slice(None)).astype(float)
        line = np.polyfit(seen[:, 8:].ravel(), told[0][:, 7:-1].ravel(), 1)  # what is told at t - 1 is seen at t
        assert np.polyval(line, seen[:, 8:]) == pytest.approx(told[0][:, 7:-1], abs=1e-4 * told[0][:, 7:].std())
    assert one.train.values.std() == pytest.approx(1, abs=1e-5)
    assert one.train.values.mean() == pytest.approx(0, abs=1e-5)


def test_narma10_tells_what_follows_from_the_inputs_seen():
    data = load(steps=100, train_samples=20, test_samples=5)
    seen = data.train.tokens(slice(None))[..., 0].astype(float)
    raw = np.sqrt(1 / 48) * seen + 0.25  # about: deviation and mean of an even draw from 0 to 0.5
    told = data.train.labels[..., 0] * data.targets.std[0] + data.targets.mean[0]
    for t in range(40, 99):
        product = raw[:, t] * raw[:, t - 9]
        last = told[:, t - 10 : t]  # y_{t-9} to y_t
        expected = 0.3 * last[:, -1] + 0.05 * last[:, -1] * last.sum(1) + 1.5 * product + 0.1
        assert told[:, t] == pytest.approx(expected, abs=0.02)


def test_samples_differ_and_a_seed_makes_the_same_ones():
    one, again, other = load(system="henon"), load(system="henon"), load(system="henon", seed=1)
    assert np.array_equal(one.train.values, again.train.values)
    assert not np.array_equal(one.train.values, other.train.values)
    rows = np.concatenate([one.train.values, one.test.values])[..., 0]
    assert len(np.unique(rows, axis=0)) == 150


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"system": "sunspots"}, "system"),
        ({"steps": 20}, "washout 20 leaves nothing of 20 steps"),
        ({"delay": 3}, "delay is not an option of data set series"),
    ],
)
def test_a_mistake_is_named(options, message):
    with pytest.raises((ConfigurationError, ValueError), match=message):
        load(**options)

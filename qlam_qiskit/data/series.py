"""Time series made from a seed, to be predicted at every step: NARMA-10, Mackey-Glass, the Henon map, Lorenz's x.

Each sample is a trajectory of its own, from its own random start. After ``washout`` steps, in which a memory comes to
know it, the number ``horizon`` steps ahead is to be told after every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qlam_qiskit.data.sequences import SequenceData, Split, Targets
from qlam_qiskit.data.settings import DataSettings
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.machine_memory import check_memory

_TRANSIENT = 200  # steps that are dropped, until a trajectory is on its attractor
_MAX_ROUNDS = 50
_DELAY, _SUBSTEPS = 17, 10  # of Mackey-Glass: tau, and steps of integration a unit of time
_LORENZ_STEP, _LORENZ_SUBSTEPS = 0.01, 5


def generated_series(settings: DataSettings) -> SequenceData:
    """Make the series of a system: tokens (N, T, 1) and the numbers ahead (N, T, 1), both standardized.

    The test samples come from a random stream of their own. Means and deviations are those of the training part.
    """
    system, steps, ahead = _SYSTEMS[settings.system], settings.steps, settings.horizon
    samples = settings.train_samples + settings.test_samples
    check_memory(32 * samples * (steps + ahead + _TRANSIENT), f"{samples:,} series of {steps:,} steps")
    parts = []
    for stream, count in enumerate((settings.train_samples, settings.test_samples)):
        seen, told = system.draw(np.random.default_rng([settings.seed, stream]), count, steps + ahead)
        parts.append((seen[:, :steps], told[:, ahead : ahead + steps]))
    (seen, told), _ = parts
    scale, mean, std = 1 / seen.std(), told.mean(), told.std()
    splits = []
    for tokens, targets in parts:
        labels = ((targets - mean) / std).astype(np.float32)[..., None]
        labels[:, : settings.washout] = np.nan
        values = ((tokens - seen.mean()) * scale).astype(np.float32)[..., None]
        splits.append(Split(labels, values))
    return SequenceData(
        task=f"{system.title}, {ahead} step{'' if ahead == 1 else 's'} ahead",
        train=splits[0],
        test=splits[1],
        steps=steps,
        token_size=1,
        num_classes=1,
        num_answers=steps,
        image_shape=None,
        class_names=(system.number,),
        targets=Targets(np.array([mean]), np.array([std])),
        every_step=True,
    )


def narma10(inputs: np.ndarray) -> np.ndarray:
    """Return y (N, L) of inputs u (N, L): y_{t+1} = 0.3 y_t + 0.05 y_t sum_{i<10} y_{t-i} + 1.5 u_{t-9} u_t + 0.1.

    Before the first step, y and u are 0. Some inputs make it diverge. Source: Atiya and Parlos 2000.
    """
    found, before = np.zeros_like(inputs), np.pad(inputs, ((0, 0), (9, 0)))
    recent = np.zeros((len(inputs), 10))
    with np.errstate(over="ignore", invalid="ignore"):
        for t in range(inputs.shape[1] - 1):
            last = found[:, t]
            recent[:, t % 10] = last
            found[:, t + 1] = 0.3 * last + 0.05 * last * recent.sum(1) + 1.5 * before[:, t] * inputs[:, t] + 0.1
    return found


def mackey_glass(history: np.ndarray, length: int) -> np.ndarray:
    """Return x (N, L) at times 0, 1, ... of x' = 0.2 x(t - 17) / (1 + x(t - 17)^10) - 0.1 x, x before being constant.

    ``history`` (N,) is that constant. Runge-Kutta of fourth order with 10 steps a unit of time; between two of them
    the delayed x is their mean. Source: Mackey and Glass 1977.
    """
    delay, step = _DELAY * _SUBSTEPS, 1 / _SUBSTEPS
    past = np.repeat(history[:, None].astype(float), delay + 1, axis=1)  # a ring of the last 17 units of time

    found = np.empty((len(history), length))
    for t in range((length - 1) * _SUBSTEPS + 1):
        x = past[:, t % (delay + 1)]
        if t % _SUBSTEPS == 0:
            found[:, t // _SUBSTEPS] = x
        first, last = past[:, (t + 1) % (delay + 1)], past[:, (t + 2) % (delay + 1)]
        middle = (first + last) / 2
        pulls = [0.2 * delayed / (1 + delayed**10) for delayed in (first, middle, last)]
        past[:, (t + 1) % (delay + 1)] = _runge_kutta(lambda x, half, pulls=pulls: pulls[half] - 0.1 * x, x, step)
    return found


def henon(start: np.ndarray, length: int) -> np.ndarray:
    """Return x (N, L) of x_{t+1} = 1 - 1.4 x_t^2 + 0.3 x_{t-1} from (x, 0.3 x before) (N, 2). Source: Henon 1976."""
    found = np.empty((len(start), length))
    x, y = start[:, 0], start[:, 1]
    for t in range(length):
        found[:, t] = x
        x, y = 1 - 1.4 * x**2 + y, 0.3 * x
    return found


def lorenz(start: np.ndarray, length: int) -> np.ndarray:
    """Return x (N, L) every 0.05 units of time, of the system with sigma 10, rho 28, beta 8/3 from (x, y, z) (N, 3).

    Runge-Kutta of fourth order in steps of 0.01. Source: Lorenz 1963.
    """

    def slope(state: np.ndarray, _half: int) -> np.ndarray:
        x, y, z = state.T
        return np.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], axis=1)

    found, state, step = np.empty((len(start), length)), start, _LORENZ_STEP
    for t in range(length):
        found[:, t] = state[:, 0]
        for _ in range(_LORENZ_SUBSTEPS):
            state = _runge_kutta(slope, state, step)
    return found


def _runge_kutta(slope: Callable[[np.ndarray, int], np.ndarray], x: np.ndarray, step: float) -> np.ndarray:
    """Take a step of fourth order; ``slope`` is told x, and after how many halves of the step (0, 1, 2) it is there."""
    one = slope(x, 0)
    two = slope(x + step / 2 * one, 1)
    three = slope(x + step / 2 * two, 1)
    four = slope(x + step * three, 2)
    return x + step / 6 * (one + 2 * two + 2 * three + four)


# Draws N trajectories of L steps: what is seen of them, and what is to be told, (N, L) each.
_Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class _System:
    title: str
    number: str  # what the predicted number is called
    draw: _Draw


def _draw_narma10(generator: np.random.Generator, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw inputs evenly from 0 to 0.5, and other ones for those that diverge."""
    inputs = np.empty((0, length + _TRANSIENT))
    for _ in range(_MAX_ROUNDS):
        more = generator.uniform(0, 0.5, (count - len(inputs), length + _TRANSIENT))
        inputs = np.concatenate([inputs, more[(narma10(more) < 1).all(axis=1)]])
        if len(inputs) == count:
            return inputs[:, _TRANSIENT:], narma10(inputs)[:, _TRANSIENT:]
    raise ConfigurationError(f"data: nearly every NARMA-10 series of {length:,} steps diverges; make them shorter")


def _of_itself(run: Callable[[np.ndarray, int], np.ndarray], start: Callable[..., np.ndarray]) -> _Draw:
    """Make of a system without inputs what is seen and told: its own past and future."""

    def draw(generator: np.random.Generator, count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
        found = run(start(generator, count), length + _TRANSIENT)[:, _TRANSIENT:]
        return found, found

    return draw


_SYSTEMS = {
    "narma10": _System("NARMA-10", "y", _draw_narma10),
    "mackey_glass": _System(
        "Mackey-Glass", "x", _of_itself(mackey_glass, lambda generator, count: generator.uniform(0.4, 1.4, count))
    ),
    "henon": _System(
        "Henon", "x", _of_itself(henon, lambda generator, count: generator.uniform(-0.1, 0.1, (count, 2)))
    ),
    "lorenz": _System(
        "Lorenz x",
        "x",
        _of_itself(lorenz, lambda generator, count: generator.normal([0, 0, 25], [5, 5, 5], (count, 3))),
    ),
}

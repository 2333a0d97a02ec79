"""What a memory forgets, and when: the rates of its damping, and how long a changed token tells in its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from qlam_qiskit.engine import open_trajectory
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM
from qlam_qiskit.rate import Rate, rate_from_angle
from qlam_qiskit.report.mixed_states import trace_distance
from qlam_qiskit.report.registers import MOST_NUMBERS, Register, registers_reading

_MOST_PROBES = 8  # tokens that are changed, one at a time, in the first quarter of what is read
_MOST_LAGS = 60
_NOTHING = 1e-5  # of the largest change of an angle


@dataclass(frozen=True)
class Damping:
    """One trained rate in all registers of a layer.

    Attributes
    ----------
    name
        The qubits that it damps.
    gammas
        gamma of each register, (H,).
    backwards
        Which registers read backwards, (H,).
    start
        The range from which gamma was drawn.
    """

    name: str
    gammas: np.ndarray
    backwards: np.ndarray
    start: Rate

    @property
    def half_lives(self) -> np.ndarray:
        """Steps after which half of an excitation is left, ln 2 / -ln(1 - gamma), (H,)."""
        return half_life(self.gammas)

    @property
    def median_half_life(self) -> float:
        """The half-life of the register in the middle."""
        return float(np.median(self.half_lives))


def half_life(gamma: np.ndarray | float) -> np.ndarray:
    """Return the steps in which damping of rate gamma takes half of an excitation."""
    return np.log(2) / -np.log1p(-np.clip(gamma, 1e-12, 1 - 1e-12))


@dataclass(frozen=True)
class Forgetting:
    """How much of a changed token's effect is left in a register's state, by the steps since it was read.

    Attributes
    ----------
    name, backwards
        Which register it is.
    lags
        Steps since the last one whose angles depend on the token, (L,).
    left
        Mean trace distance of the state from the one without the change, over that at lag 0: (L,) by circuit, "" being
        the one without errors, and others by the name of their device.
    """

    name: str
    backwards: bool
    lags: np.ndarray
    left: Mapping[str, np.ndarray]

    def half(self, circuit: str = "") -> int | None:
        """Return the lag from which on no more than half is left; None where more is left at all of them."""
        fallen = np.flatnonzero(self.left[circuit] <= 0.5)
        return int(self.lags[fallen[0]]) if len(fallen) else None


def dampings(model: QLAM) -> list[Damping]:
    """List the trained rates of damping, layer by layer."""
    found = []
    for number, layer in enumerate(model.layers, start=1):
        memory = layer.memory.neural_network.memory
        weights = layer.memory.angles().detach().double().numpy()
        backwards = np.arange(len(weights)) >= layer.forward_registers
        for column, weight in enumerate(memory.weights):
            if weight not in memory.rates:
                continue
            where = [f"layer {number}"] * (len(model.layers) > 1)
            place = {qubit: f"q{index}" for index, qubit in enumerate(memory.memory_qubits)}
            damped = {
                memory.update.find_bit(qubit).index
                for instruction in memory.update.data
                if any(weight in getattr(angle, "parameters", ()) for angle in instruction.operation.params)
                for qubit in instruction.qubits
            }
            where.append(" ".join(place[qubit] for qubit in sorted(damped & place.keys())) or weight.name)
            gammas = rate_from_angle(weights[:, column])
            found.append(Damping(", ".join(where), gammas, backwards, memory.rates[weight]))
    return found


def follow_changes(model: QLAM, tokens: np.ndarray, noisy: Mapping[str, MemoryCircuit]) -> list[Forgetting]:
    """Change tokens of sequences (B, T, c), one at a time, and see how long each register's state tells.

    ``noisy`` are the circuit with errors in it, by the name of their device. Registers in which every token is seen
    until the end, or has no effect, are left out. Of sequences of different lengths as many steps as the shortest has
    are read.
    """
    steps = int((~np.isnan(tokens[..., 0])).sum(axis=1).min())
    tokens = tokens.copy()
    tokens[:, steps:] = np.nan
    probes = np.unique(np.linspace(0, max(0, steps // 4 - 1), _MOST_PROBES).astype(int))
    other = _other_tokens(tokens)

    def changed(place: int) -> list[Register]:
        replaced = tokens.copy()
        replaced[:, place] = other[:, place]
        return list(registers_reading(model, replaced))

    forwards = [changed(probe) for probe in probes]
    turned = any(register.backwards for register in forwards[0])
    backwards = [changed(steps - 1 - probe) for probe in probes] if turned else forwards
    found = []
    for number, register in enumerate(registers_reading(model, tokens)):
        own = [each[number].angles for each in (backwards if register.backwards else forwards)]
        lags = _lags(register, own)
        if len(lags) > 1:
            left = {name: _left(memory, register, own, lags) for name, memory in {"": register.memory, **noisy}.items()}
            if all(np.isfinite(each).all() for each in left.values()):
                found.append(Forgetting(register.name, register.backwards, lags, left))
    return found


def _other_tokens(tokens: np.ndarray) -> np.ndarray:
    """Return other tokens: the next symbol for one-hot ones, else each number's farther end of their range."""
    symbols = tokens.shape[2] > 1 and np.isin(tokens, (0, 1)).all() and (tokens.sum(axis=2) == 1).all()
    if symbols:
        return np.roll(tokens, 1, axis=2)
    low, high = np.nanmin(tokens), np.nanmax(tokens)
    return np.where(tokens > (low + high) / 2, low, high)


def _last_seen(register: Register, changed: np.ndarray) -> int:
    """Return the last step, from 0 on, whose angles a change of tokens changes; -1 if none."""
    difference = np.abs(changed - register.angles).max(axis=(0, 2))
    seen = np.flatnonzero(difference > _NOTHING * difference.max())
    return int(seen[-1]) if len(seen) else -1


def _lags(register: Register, changed: list[np.ndarray]) -> np.ndarray:
    """Choose lags at which all changes can be followed: all small ones, then ever fewer."""
    steps = register.angles.shape[1]
    most = steps - 1 - max(_last_seen(register, each) for each in changed)
    spaced = np.geomspace(1, max(1, most), _MOST_LAGS).round()
    return np.unique([0, *spaced[spaced <= most].astype(int)])


def _left(memory: MemoryCircuit, register: Register, changed: list[np.ndarray], lags: np.ndarray) -> np.ndarray:
    """Return the mean trace distance at every lag, over that at lag 0."""
    distances = np.zeros(len(lags))
    at_once = max(1, MOST_NUMBERS // (register.angles.shape[1] << 2 * memory.num_qubits) // (len(changed) + 1))
    for start in range(0, len(register.angles), at_once):
        own = slice(start, start + at_once)
        stacked = np.concatenate([register.angles[own], *(each[own] for each in changed)])
        states, _ = open_trajectory(memory, stacked, register.weights)
        base, *others = np.split(states, len(changed) + 1)
        for each, angles in zip(others, changed, strict=True):
            places = _last_seen(register, angles) + 1 + lags
            distances += trace_distance(base[:, places], each[:, places]).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return distances / distances[0]

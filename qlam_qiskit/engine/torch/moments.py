"""When the rows of a batch are read on a device: all of them after a step, or each after steps of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from qlam_qiskit.engine.arguments import Arguments

_Rows = slice | torch.Tensor
_ALL = slice(None)


class Moments:
    """The readings of N rows, ``registers`` of them for each sample; -1 among the times is never."""

    def __init__(self, arguments: Arguments, registers: int, device: torch.device) -> None:
        times = arguments.times
        self._times: np.ndarray = times.T if len(times) == 1 else np.repeat(times, registers, axis=0).T
        self._after: dict[int, list[tuple[int, _Rows]]] = {}
        for slot, of_rows in enumerate(self._times):
            for step in np.unique(of_rows[of_rows >= 0]):
                rows = _ALL if len(times) == 1 else torch.from_numpy(np.flatnonzero(of_rows == step)).to(device)
                self._after.setdefault(int(step), []).append((slot, rows))

    def after(self, step: int) -> Sequence[tuple[int, _Rows]]:
        """List the readings that follow a step, with the rows that are read then."""
        return self._after.get(step, ())

    def pick(self, of_steps: torch.Tensor) -> torch.Tensor:
        """Take from (T, N, ...) what belongs to each reading, (R, N, ...); zero for never."""
        if self._times.shape[1] == 1:
            return of_steps[self._times[:, 0].tolist()]
        picked = of_steps.new_zeros(len(self._times), *of_steps.shape[1:])
        for step, readings in self._after.items():
            for slot, rows in readings:
                picked[slot, rows] = of_steps[step, rows]
        return picked

    def add(self, of_steps: torch.Tensor, of_readings: torch.Tensor) -> None:
        """Add (R, N, ...) to (T, N, ...) in place, each reading to its step."""
        for step, readings in self._after.items():
            for slot, rows in readings:
                of_steps[step, rows] += of_readings[slot, rows]

"""Training shared by several processes: those that torchrun starts train one model, each on its part of every batch.

Rank 0 decides, writes and speaks; what it decides is broadcast. All ranks hold the same weights: they start from the
same ones and apply the same summed gradients. Whatever makes one rank fail makes all fail alike, and rank 0 says so.
Any number of ranks gives the same training curve up to the order in which float32 numbers are added; the same number
gives the same bits. Only what a model draws from torch's generator in training, its noise, differs with the number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import distributed
from torch.autograd.function import once_differentiable

from qlam_qiskit.engine import processors
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.training.connection import connection

_T = TypeVar("_T")
_FOLDER = "qlam/run-folder"  # the key in torchrun's store


@dataclass(frozen=True)
class Ranks:
    """The processes that train together, seen from one of them; by default this process is alone.

    Every rank calls the same methods in the same order. Alone, all of them cost nothing and change no bit.

    Attributes
    ----------
    rank, size
        This process's number, and how many there are.
    local_rank, local_size
        The same among the processes of this machine.
    store
        torchrun's own store, which outlives the processes that it restarts.
    group
        The process group that sums gradients, where it is not the one for everything else.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1
    store: distributed.Store | None = None
    group: distributed.ProcessGroup | None = None

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes files and prints."""
        return self.rank == 0

    @property
    def threads(self) -> int:
        """Processors of this machine for each of its ranks, at least 1."""
        return max(1, processors() // self.local_size)

    def share(self, indices: np.ndarray) -> np.ndarray:
        """Return this rank's part of the samples of a batch; empty where there are fewer samples than ranks."""
        return indices if self.size == 1 else np.array_split(indices, self.size)[self.rank]

    def step(
        self, module: torch.nn.Module, differentiate: Callable[[], tuple[float, float]], stop: Callable[[], bool]
    ) -> tuple[float, float, bool]:
        """Run ``differentiate`` on every rank, then add up over ranks the gradients that it left in ``module``.

        ``differentiate`` returns two numbers, which are added up too and returned, with whether any rank was told to
        stop. All of it is one flat tensor of the parameters' type, so that sums over ranks are rounded like it.
        Raises the QlamError that one rank's ``differentiate`` raised, on all ranks. What that draws from torch's
        generator differs between ranks, whose generators stay alike.
        """
        if self.size == 1:
            return (*differentiate(), stop())
        failure, numbers = None, (math.nan, math.nan)
        seed = int(torch.randint(2**62, ()))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + self.rank)
            try:
                numbers = differentiate()
            except QlamError as error:
                failure = error
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        last = parameters[0].new_tensor([*numbers, float(stop())])
        flat = self._sum(torch.cat([*(gradient.flatten().to(last.device) for gradient in gradients), last]))
        *sums, last = flat.split([*(parameter.numel() for parameter in parameters), len(last)])
        first, second, stops = last.tolist()
        if math.isnan(first):
            with self.together():
                if failure is not None:
                    raise failure
        for parameter, gradient in zip(parameters, sums, strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.device)
        return first, second, stops > 0

    def sum(self, *numbers: float) -> tuple[float, ...]:
        """Add up each number over all ranks, in double precision."""
        if self.size == 1:
            return numbers
        total = torch.tensor(numbers, dtype=torch.float64)
        with connection():
            distributed.all_reduce(total)
        return tuple(total.tolist())

    def total(self, tensor: torch.Tensor) -> torch.Tensor:
        """Add up a tensor over all ranks, and in the backward pass its gradient."""
        return tensor if self.size == 1 else _Total.apply(tensor, self._sum)

    def from_first(self, make: Callable[[], _T]) -> _T:
        """Call ``make`` on rank 0 and return the result on all; a QlamError too is raised on all."""
        if self.size == 1:
            return make()
        sent: list[Any] = [None]
        with self.together():
            if self.first:
                sent[0] = make()
        with connection():
            distributed.broadcast_object_list(sent, src=0)
        return sent[0]

    def in_turn(self, make: Callable[[], _T]) -> _T:
        """Call ``make`` on one rank of each machine before the others, who find what it downloaded."""
        for turn in (True, False):
            with self.together():
                if (self.local_rank == 0) == turn:
                    made = make()
        return made

    @contextmanager
    def together(self) -> Iterator[None]:
        """Raise on all ranks the QlamError that one of them raises within; from another rank it begins with its name.

        The others raise a QlamError of the same exit status.
        """
        if self.size == 1:
            yield
            return
        failure = None
        try:
            yield
        except QlamError as error:
            failure = error
        failures: list[Any] = [None] * self.size
        with connection():
            distributed.all_gather_object(failures, failure and (str(failure), failure.exit_status))
        for rank, told in enumerate(failures):
            if told is None:
                continue
            if failure is not None and rank == 0:
                raise failure
            message, status = told
            kind = ConfigurationError if status == ConfigurationError.exit_status else QlamError
            raise kind(message if rank == 0 else f"rank {rank}: {message}")

    def check_same(self, describe: Callable[[], Mapping[str, Any]]) -> None:
        """Raise ConfigurationError where a rank describes what it trains otherwise than rank 0 does."""
        if self.size == 1:
            return
        mine = describe()
        first = self.from_first(lambda: mine)
        with self.together():
            for key, value in mine.items():
                if value != first[key]:
                    raise ConfigurationError(f"its {key.replace('_', ' ')} is {value}, that of rank 0 {first[key]}")

    def remember_folder(self, path: Path) -> None:
        """Keep the run's folder for the processes that torchrun may start in place of these."""
        if self.store is not None:
            self.store.set(_FOLDER, str(path))

    def remembered_folder(self) -> Path | None:
        """Return the folder that was kept before torchrun restarted; None when this is the first start."""
        if self.store is None or not self.store.check([_FOLDER]):
            return None
        return Path(self.store.get(_FOLDER).decode())

    def on_gpus(self) -> Ranks:
        """Give each rank of a machine a GPU of its own, and have NCCL add up the gradients."""
        if self.size == 1:
            return self
        with self.together():
            if torch.cuda.device_count() < self.local_size:
                raise ConfigurationError(
                    f"device: cuda: {self.local_size} ranks on a machine with {torch.cuda.device_count()} GPUs"
                )
            torch.cuda.set_device(self.local_rank)
        with connection():
            return replace(self, group=distributed.new_group(backend="nccl"))

    def _sum(self, flat: torch.Tensor) -> torch.Tensor:
        there = flat if self.group is None else flat.cuda()
        with connection():
            distributed.all_reduce(there, group=self.group)
        return there.to(flat.device)


ALONE = Ranks()


class _Total(torch.autograd.Function):
    """A sum over ranks: what each rank puts in counts for the losses of all."""

    @staticmethod
    def forward(ctx: Any, tensor: torch.Tensor, add_up: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        ctx.add_up = add_up
        return add_up(tensor.clone())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.add_up(gradient.clone(memory_format=torch.contiguous_format)), None

"""One layer of QLAM: tokens in, readouts of all registers out."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model.embedding import make_embedding
from qlam_qiskit.model.noise import ShotNoise
from qlam_qiskit.model.padding import at_steps, reading_times, reversed_within
from qlam_qiskit.model.settings import ModelSettings
from qlam_qiskit.model.time_step import SelectiveTimeStep
from qlam_qiskit.network import ExecutionFactory, MemoryConnector, MemoryNetwork


class MemoryLayer(nn.Module):
    """Embeds tokens, turns them into angles, runs H memories and reads them after R steps, with noise in training.

    Takes tokens (B, T, c) and, for queries of kind "given", q (B, size); returns readouts (B, R, H * Q * K). Registers
    that read backwards are given their angles from the last step to the first; a layer that is read after
    ``every_step`` puts their readouts back in time order. Samples of other ``lengths`` (B,) than T are read at even
    intervals of their own, and backwards from their own last step.
    """

    def __init__(
        self,
        settings: ModelSettings,
        token_size: int,
        steps: int,
        readout_steps: tuple[int, ...],
        execution: ExecutionFactory,
        memory: MemoryCircuit,
        *,
        every_step: bool = False,
    ) -> None:
        super().__init__()
        queries = settings.queries
        readout = _readout(settings, memory, every_step)
        self.registers, self.readout_steps = settings.registers, readout_steps
        self.forward_registers = settings.registers - (settings.registers // 2 if settings.directions == "both" else 0)
        self.every_step, self._inputs = every_step, memory.num_inputs
        self.embedding = make_embedding(settings.embedding, token_size)
        self.encoder = nn.Linear(settings.embedding.width, settings.registers * memory.num_inputs)
        self._time_scales = _time_scales(settings, memory.num_inputs).repeat(settings.registers).tolist()
        start = _start(memory, settings)
        self.time_step = None
        if settings.time_step == "selective":
            free = [weight not in memory.rates for weight in memory.weights]
            self.time_step = SelectiveTimeStep(
                memory,
                settings.embedding.width,
                settings.registers,
                start[:, free],
                settings.weight_scale,
                settings.time_step_start,
            )
            memory, start = self.time_step.memory, start[:, [not each for each in free]]
        network = MemoryNetwork(
            memory,
            steps,
            readout=readout,
            registers=settings.registers,
            queries=queries.count,
            readout_steps=readout_steps,
            execution=execution(memory, readout, steps, readout_steps),
        )
        weights = start.flatten().numpy()
        self.memory = MemoryConnector(network, initial_weights=weights, weight_scale=settings.weight_scale)
        noise = settings.noise
        self.shot_noise = ShotNoise(readout, noise.shots, readout_steps) if noise.shots else nn.Identity()
        self.query_kind = queries.kind
        self.query_shape = (settings.registers, queries.count, memory.num_query_angles)
        angles = int(np.prod(self.query_shape))
        if readout.kind == "emissions":
            self.query_angles = nn.Parameter(torch.zeros(angles), requires_grad=False)
        elif queries.kind == "learned":
            self.query_angles = nn.Parameter(2 * torch.rand(angles) - 1)
        else:
            if queries.kind == "given" and queries.size is None:
                raise ConfigurationError("model.queries.size: needed for queries of kind 'given'")
            size = queries.size if queries.kind == "given" else settings.embedding.width
            self.query_map = nn.Linear(size, angles)
            nn.init.uniform_(self.query_map.bias, -1.0, 1.0)

    def forward(
        self, tokens: torch.Tensor, query: torch.Tensor | None = None, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Run the layer; see the class for shapes."""
        phi, alpha = self.angles(tokens, query, lengths)
        times = self.times(lengths)
        values = self.memory(phi, alpha, times).to(tokens.device)
        values = self.shot_noise(values, times) if isinstance(self.shot_noise, ShotNoise) else values
        return self.in_time(values, lengths).flatten(2)

    def times(self, lengths: torch.Tensor | None) -> np.ndarray | None:
        """Return the steps after which samples of these lengths are read, (B, R); None where all have T steps."""
        return reading_times(len(self.readout_steps), lengths, every_step=self.every_step)

    def in_time(self, values: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
        """Put readouts (B, R, H, ...) in the order of time, where every step is read and registers read backwards."""
        return self._turned(values, lengths) if self.every_step else values

    def suffer(self, noisy: MemoryCircuit) -> None:
        """Run ``noisy``, this layer's circuit with errors in it, where there is noise.

        Raises ConfigurationError where the layer does not run on the exact engine.
        """
        self.memory.in_training = self.memory.neural_network.on_circuit(noisy)

    def inject(self, in_evaluation: bool) -> None:
        """Say whether the noise of training is there in evaluation too."""
        for part in (self.memory, self.shot_noise):
            part.in_evaluation = in_evaluation

    def angles(
        self, tokens: torch.Tensor, query: torch.Tensor | None = None, lengths: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the angles phi (B, T, H, P) and alpha (B or 1, R or 1, H, Q, A) that tokens and queries select.

        Free of noise, in every mode; each register's in the order in which it reads. They are on the layer's device,
        whatever that of the tokens.
        """
        device = self.encoder.weight.device
        tokens, query, lengths = (part if part is None else part.to(device) for part in (tokens, query, lengths))
        embedded = self.embedding(tokens)
        phi = (self.encoder(embedded) * self.time_scales).unflatten(-1, (self.registers, self._inputs))
        if self.time_step is not None:
            phi = self.time_step(phi, embedded)
        return self._turned(phi, lengths), self._queries(embedded, query, lengths)

    def _turned(self, of_steps: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """Reverse (B, T, H, ...) in time for the registers that read backwards."""
        if self.forward_registers == self.registers:
            return of_steps
        forward, backward = of_steps.tensor_split([self.forward_registers], dim=2)
        return torch.cat([forward, reversed_within(backward, lengths)], dim=2)

    @property
    def time_scales(self) -> torch.Tensor:
        """The scale s of each angle, (H * P,): made of the settings, so that no module left empty can lose it."""
        weight = self.encoder.weight
        return torch.tensor(self._time_scales, dtype=weight.dtype, device=weight.device)

    @property
    def readout_size(self) -> int:
        """Numbers of one reading, H * Q * K."""
        network: MemoryNetwork = self.memory.neural_network
        return network.output_shape[0] // len(self.readout_steps)

    def _queries(
        self, embedded: torch.Tensor, query: torch.Tensor | None, lengths: torch.Tensor | None
    ) -> torch.Tensor:
        """Return alpha, shape (B or 1, R or 1, H, Q, A)."""
        if self.query_kind == "learned":
            return self.query_angles.reshape(1, 1, *self.query_shape)
        if self.query_kind == "last_token":
            alpha = self._alpha_of(embedded, lengths)
            if self.forward_registers == self.registers:
                return alpha
            backward = self._alpha_of(reversed_within(embedded, lengths), lengths)
            return torch.cat([alpha[:, :, : self.forward_registers], backward[:, :, self.forward_registers :]], dim=2)
        if query is None:
            raise ConfigurationError("this model's queries are given from outside: call it with a query")
        return self.query_map(query)[:, None].unflatten(-1, self.query_shape)

    def _alpha_of(self, embedded: torch.Tensor, lengths: torch.Tensor | None) -> torch.Tensor:
        """Make queries of the tokens that were read last, (B, R, H, Q, A)."""
        times = self.times(lengths)
        if times is None:
            last = embedded[:, list(self.readout_steps)]
        else:
            last = at_steps(embedded, torch.from_numpy(times).to(embedded.device))
        return self.query_map(last).unflatten(-1, self.query_shape)


def _readout(settings: ModelSettings, memory: MemoryCircuit, every_step: bool) -> Readout:
    """Say what a layer reads; each step is a span of its own in one that is read after every step."""
    kind, pooling = settings.readout.kind, "last" if every_step else settings.readout.pooling
    if kind == "emissions" and not memory.num_emissions:
        raise ConfigurationError(
            f"model.readout.kind: circuit {memory.update.name!r} emits nothing; emissions need a memory whose update "
            "measures ancillas, such as the templates damped_line and damped_ring"
        )
    weight = min(settings.readout.max_weight, memory.num_qubits)
    emissions = memory.num_emissions if kind == "emissions" else 0
    return Readout(memory.num_qubits, kind, weight, pooling, emissions)


def _start(memory: MemoryCircuit, settings: ModelSettings) -> torch.Tensor:
    """Draw theta' of all registers, (H, W): normal, or what stands for a rate in its range."""
    size = (settings.registers, memory.num_weights)
    start = torch.randn(size) * (settings.weight_std / settings.weight_scale)
    for column, weight in enumerate(memory.weights):
        if weight in memory.rates:
            drawn = memory.rates[weight].draw(torch.rand(settings.registers).numpy())
            start[:, column] = torch.from_numpy(drawn).to(start)
    return start


def _time_scales(settings: ModelSettings, angles: int) -> torch.Tensor:
    spread = settings.time_scale_decades / 2
    return settings.time_scale * torch.logspace(-spread, spread, angles)

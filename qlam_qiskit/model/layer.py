"""One layer of QLAM: tokens in, readouts of all registers out."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from qlam_qiskit.engine import Readout
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model.embedding import make_embedding
from qlam_qiskit.model.noise import PauliNoise, ShotNoise
from qlam_qiskit.model.settings import ModelSettings
from qlam_qiskit.network import ExecutionFactory, MemoryConnector, MemoryNetwork


class MemoryLayer(nn.Module):
    """Embeds tokens, turns them into angles, runs H memories and reads them after R steps, with noise while training.

    Takes tokens (B, T, c) and, for queries of kind "given", q (B, size); returns readouts (B, R, H * Q * K).
    """

    def __init__(
        self,
        settings: ModelSettings,
        token_size: int,
        steps: int,
        readout_steps: tuple[int, ...],
        execution: ExecutionFactory,
        memory: MemoryCircuit,
    ) -> None:
        super().__init__()
        queries = settings.queries
        weight = min(settings.readout.max_weight, memory.num_qubits)
        readout = Readout(memory.num_qubits, settings.readout.kind, weight)
        self.registers, self.readout_steps = settings.registers, readout_steps
        self.embedding = make_embedding(settings.embedding, token_size)
        self.encoder = nn.Linear(settings.embedding.width, settings.registers * memory.num_inputs)
        self._time_scales = _time_scales(settings, memory.num_inputs).repeat(settings.registers).tolist()
        network = MemoryNetwork(
            memory,
            steps,
            readout=readout,
            registers=settings.registers,
            queries=queries.count,
            readout_steps=readout_steps,
            execution=execution(memory, readout, steps, readout_steps),
        )
        start = _start(memory, settings)
        self.memory = MemoryConnector(network, initial_weights=start.numpy(), weight_scale=settings.weight_scale)
        noise = settings.noise
        probability = noise.pauli if noise.device is None else noise.device
        self.pauli_noise = PauliNoise(memory, steps, probability) if probability is not None else nn.Identity()
        self.shot_noise = ShotNoise(readout, noise.shots) if noise.shots else nn.Identity()
        self.query_kind = queries.kind
        self.query_shape = (settings.registers, queries.count, memory.num_query_angles)
        angles = int(np.prod(self.query_shape))
        if queries.kind == "learned":
            self.query_angles = nn.Parameter(2 * torch.rand(angles) - 1)
        else:
            if queries.kind == "given" and queries.size is None:
                raise ConfigurationError("model.queries.size: needed for queries of kind 'given'")
            size = queries.size if queries.kind == "given" else settings.embedding.width
            self.query_map = nn.Linear(size, angles)
            nn.init.uniform_(self.query_map.bias, -1.0, 1.0)

    def forward(self, tokens: torch.Tensor, query: torch.Tensor | None = None) -> torch.Tensor:
        """Run the layer; see the class for shapes."""
        phi, alpha = self.angles(tokens, query)
        return self.shot_noise(self.memory(self.pauli_noise(phi), alpha)).flatten(2)

    def angles(self, tokens: torch.Tensor, query: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the angles phi (B, T, H, P) and alpha (B or 1, R or 1, H, Q, A) that tokens and queries select.

        Free of noise, in every mode.
        """
        embedded = self.embedding(tokens)
        phi = self.encoder(embedded) * self.time_scales
        network: MemoryNetwork = self.memory.neural_network
        return phi.unflatten(-1, (self.registers, network.memory.num_inputs)), self._queries(embedded, query)

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

    def _queries(self, embedded: torch.Tensor, query: torch.Tensor | None) -> torch.Tensor:
        """Return alpha, shape (B or 1, R or 1, H, Q, A)."""
        if self.query_kind == "learned":
            return self.query_angles.reshape(1, 1, *self.query_shape)
        if self.query_kind == "last_token":
            alpha = self.query_map(embedded[:, list(self.readout_steps)])
        elif query is None:
            raise ConfigurationError("this model's queries are given from outside: call it with a query")
        else:
            alpha = self.query_map(query)[:, None]
        return alpha.reshape(*alpha.shape[:2], *self.query_shape)


def _start(memory: MemoryCircuit, settings: ModelSettings) -> torch.Tensor:
    """Draw theta' of all registers, flat (H * W): normal, or what stands for a rate in its range."""
    size = (settings.registers, memory.num_weights)
    start = torch.randn(size) * (settings.weight_std / settings.weight_scale)
    for column, weight in enumerate(memory.weights):
        if weight in memory.rates:
            drawn = memory.rates[weight].draw(torch.rand(settings.registers).numpy())
            start[:, column] = torch.from_numpy(drawn).to(start)
    return start.flatten()


def _time_scales(settings: ModelSettings, angles: int) -> torch.Tensor:
    spread = settings.time_scale_decades / 2
    return settings.time_scale * torch.logspace(-spread, spread, angles)

"""Recurrent baselines: a vanilla RNN, an LSTM and a GRU, by torch's own compiled loops."""

from __future__ import annotations

import torch
from torch import nn

from qlam_qiskit.baselines.settings import RecurrentSettings
from qlam_qiskit.baselines.steps import Steps, take

_CELLS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class RecurrentMemory(nn.Module):
    """Runs embeddings (B, T, E) through recurrent layers; returns the hidden state after every step (B, T, width).

    Torch initializes forget gates near 1/2, which forgets within a few steps; as is usual, their biases start at 1
    (Jozefowicz, Zaremba and Sutskever 2015), and recurrent matrices orthogonal.
    """

    def __init__(self, settings: RecurrentSettings) -> None:
        super().__init__()
        cell = _CELLS[settings.kind]
        self.cell = cell(settings.embedding.width, settings.width, settings.layers, batch_first=True)
        for name, parameter in self.cell.named_parameters():
            if name.startswith("weight_hh"):
                for gate in parameter.data.chunk(parameter.shape[0] // settings.width):
                    nn.init.orthogonal_(gate)
            elif name.startswith("bias"):
                nn.init.zeros_(parameter)
                if settings.kind == "lstm" and name.startswith("bias_ih"):
                    parameter.data[settings.width : 2 * settings.width] = 1.0

    def forward(
        self, embedded: torch.Tensor, at: Steps | None = None, lengths: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the outputs of the last layer; all of them, or those of the steps ``at``.

        It has seen nothing behind them, so that ``lengths`` change nothing.
        """
        outputs = self.cell(embedded)[0]
        return outputs if at is None else take(outputs, at)

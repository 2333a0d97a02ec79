"""Quantum Long-Attention Memory: a sequence model whose recurrent state is a quantum state (arXiv 2605.13833).

| symbol        | here                | meaning                                                                        |
|---------------|---------------------|--------------------------------------------------------------------------------|
| T, c          | steps, token_size   | length of a sequence, numbers of one token                                     |
| n, D = 2^n    | circuit.qubits      | qubits of one register, and its amplitudes (little-endian)                     |
| e_t           | embedded            | embedding of token t, made from tokens up to t                                 |
| phi_t         | phi                 | the P input angles of step t: phi_t = s * (W_in e_t + b_in)                    |
| s             | time_scales         | the time scale of each angle                                                   |
| theta         | memory.weight       | trainable angles, the same at every step (theta = weight_scale * theta')       |
| U(phi, theta) | MemoryCircuit       | the update: psi_t = U(phi_t, theta) psi_{t-1}, psi_0 = |0...0>                 |
| alpha, V      | query angles        | a query and the basis it selects: alpha = W_q q + b_q, or learned              |
| S_k, y_k      | Readout             | Pauli-Z strings: y_k = <psi_T| V^dagger Z_{S_k} V |psi_T>, or 2^n p_j - 1      |
| H, Q, R, K    |                     | registers, queries, readings, numbers of one readout                           |

With ``directions: both`` the last H // 2 registers read the sequence backwards, each with angles phi_T, ..., phi_1.
Nothing measured is fed back into the angles: all angles of a sequence are known before it runs, so that the whole
sequence is one circuit on hardware. With more than one layer that holds within each layer: the readouts after every
step are the next layer's tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from qlam_qiskit.configuration import whole
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model.arguments import check_tokens, circuit_of, settings_of
from qlam_qiskit.model.layer import MemoryLayer
from qlam_qiskit.model.noise import depolarized_circuit, device_circuit
from qlam_qiskit.model.normalization import ReadoutNormalization
from qlam_qiskit.model.padding import without_padding
from qlam_qiskit.model.settings import ModelSettings, readout_steps
from qlam_qiskit.network import AnyBackend, ExactExecution, ExecutionFactory, executions_on


class QLAM(nn.Module):
    """Maps tokens (B, T, c) to outputs (B, M, C): M answers, each the logits of C classes or C real numbers.

    Samples shorter than T end in tokens of NaN: their memory is read after their own last step. Source: arXiv
    2605.13833.

    Parameters
    ----------
    settings
        Everything else about the model, the ``model:`` section of an experiment, also as a mapping; by default its
        defaults.
    steps, token_size
        T and c.
    classes, answers
        C and M.
    every_step
        Answer after every step, with one head for all: M = T then, and ``answers`` and ``readout.times`` stay 1.
    circuit
        The memory circuit of all registers, or a template's name; by default the template that ``settings`` name.
    backend
        Where the memories run: a name in backends.yaml, an entry of it, a Qiskit ``BackendV2``, or a V2 sampler or
        estimator; by default the exact engine in single precision.
    execution
        What makes the memories' executions, in place of ``backend``.

    Attributes
    ----------
    circuit
        The memory circuit as it was given; with a selective time step the layers run it with weights as inputs.

    Raises
    ------
    ConfigurationError
        For an unknown template or backend, sizes below 1, tokens of another shape, when both ``backend`` and
        ``execution`` are given, or ``every_step`` with several answers or readings.
    """

    def __init__(
        self,
        settings: ModelSettings | Mapping[str, Any] | None = None,
        *,
        steps: int,
        classes: int,
        token_size: int = 1,
        answers: int = 1,
        every_step: bool = False,
        circuit: MemoryCircuit | str | None = None,
        backend: AnyBackend | None = None,
        execution: ExecutionFactory | None = None,
    ) -> None:
        super().__init__()
        settings = settings_of(settings)
        sizes = {"steps": steps, "classes": classes, "token_size": token_size, "answers": answers}
        for name, size in sizes.items():
            whole(name, size)
        if backend is not None:
            if execution is not None:
                raise ConfigurationError("give a model a backend or an execution, not both")
            execution = executions_on(backend)
        circuit = circuit_of(circuit, settings)
        self._sizes = steps, token_size
        self.circuit = circuit
        times = settings.readout.times
        if every_step and (answers, times) != (1, 1):
            raise ConfigurationError(
                "answers at every step are read after every step: leave model.readout.times and answers at 1"
            )
        self.answers, self.classes, self.every_step = steps if every_step else answers, classes, every_step
        every = tuple(range(steps))
        spaced = every if every_step else readout_steps(steps, times)
        self.layers = nn.ModuleList()
        for index in range(settings.layers):
            last = index == settings.layers - 1
            read, each = spaced if last else every, every_step or not last
            layer = MemoryLayer(settings, token_size, steps, read, execution or _exact, circuit, every_step=each)
            self.layers.append(layer)
            token_size = layer.readout_size
        self.noise = settings.noise
        self.kept_noise: Callable[[], MemoryCircuit] | None = None  # in place of the device's of today
        self._injected = False
        normalize, spread = settings.readout.normalize is not None, settings.readout.spread
        self.normalization = ReadoutNormalization(times * token_size, spread) if normalize else None
        self.head = nn.Linear(times * token_size, answers * classes)

    def forward(self, tokens: torch.Tensor, query: torch.Tensor | None = None) -> torch.Tensor:
        """Answer sequences.

        Parameters
        ----------
        tokens, query
            Tokens (B, T, c) of any real dtype, taken in the model's, padding NaN; with queries from outside, one
            (B, size) for each sample.

        Returns
        -------
        torch.Tensor
            Outputs (B, M, C): logits of classes, or numbers.
        """
        return self.classify(self.read(tokens, query))

    def read(self, tokens: torch.Tensor, query: torch.Tensor | None = None) -> torch.Tensor:
        """Return what the last layer reads.

        Parameters
        ----------
        tokens, query
            As in :meth:`forward`.

        Returns
        -------
        torch.Tensor
            Readouts (B, R, H * Q * K).

        Raises
        ------
        ConfigurationError
            For tokens of another shape, and of different lengths where readouts of every step are normalized.
        """
        check_tokens(tokens, *self._sizes)
        tokens = tokens.to(self.head.weight.dtype)
        query = None if query is None else query.to(self.head.weight.dtype)
        if (self.training or self._injected) and self.layers[0].memory.in_training is None:
            noisy = (self.kept_noise or self.noisy_circuit)()
            if noisy is not None:
                self.suffer(noisy)
        tokens, lengths = without_padding(tokens)
        if lengths is not None and self.every_step and self.normalization is not None:
            raise ConfigurationError(
                "model.readout.normalize: samples that are answered at every step must have one length"
            )
        for layer in self.layers:
            tokens = layer(tokens, query, lengths)
        return tokens

    def noisy_circuit(self) -> MemoryCircuit | None:
        """Write the errors that the model is trained with into its memory's circuit.

        Returns
        -------
        MemoryCircuit
            None where the model is trained without errors, neither of ``noise.device`` nor ``noise.pauli``.

        Raises
        ------
        QlamError
            For a device that there is not, or that does not take the circuit.
        """
        network = self.layers[0].memory.neural_network
        if self.noise.device is not None:
            return device_circuit(network.memory, self.noise.device, network.readout)
        return depolarized_circuit(network.memory, self.noise.pauli) if self.noise.pauli else None

    def suffer(self, noisy: MemoryCircuit) -> None:
        """Train under errors from now on.

        Without this call a model writes the errors into its circuit when they are first needed.

        Parameters
        ----------
        noisy
            The memory's circuit with errors in it.

        Raises
        ------
        ConfigurationError
            Where the memories do not run on the exact engine.
        """
        for layer in self.layers:
            layer.suffer(noisy)

    @contextmanager
    def as_trained(self, seed: int) -> Iterator[None]:
        """Evaluate with the noise that the model is trained with, drawn from ``seed``, until the context ends.

        Without such noise nothing changes. torch's generator is afterwards where it was before.

        Parameters
        ----------
        seed
            Fixes what is drawn: the scatter of shots.

        Returns
        -------
        Iterator
            Of one moment: the context.
        """
        if not str(self.noise):
            yield
            return
        self._inject(True)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                yield
        finally:
            self._inject(False)

    def _inject(self, in_evaluation: bool) -> None:
        self._injected = in_evaluation
        for layer in self.layers:
            layer.inject(in_evaluation)

    def features(self, readouts: torch.Tensor, *, own_statistics: bool = False) -> torch.Tensor:
        """Return what the head sees: all readouts of a sample in a row, normalized if the model does.

        Parameters
        ----------
        readouts
            (B, R, H * Q * K).
        own_statistics
            Normalize with the statistics of these readouts, as for those from anywhere but the exact engine.

        Returns
        -------
        torch.Tensor
            (B, R * H * Q * K), or (B, T, H * Q * K) of a model that answers at every step.

        Raises
        ------
        ConfigurationError
            When they are too few for statistics of their own.
        """
        flat = readouts if self.every_step else readouts.flatten(1)
        if self.normalization is None:
            return flat
        return self.normalization(self._rows(readouts), own_statistics=own_statistics).view_as(flat)

    def _rows(self, readouts: torch.Tensor) -> torch.Tensor:
        """Return what is standardized, (B, R * H * Q * K); after every step the same is read, (B * T, H * Q * K)."""
        return readouts.flatten(0, 1) if self.every_step else readouts.flatten(1)

    def classify(self, readouts: torch.Tensor, *, own_statistics: bool = False) -> torch.Tensor:
        """Answer from readouts, wherever they were taken.

        Parameters
        ----------
        readouts, own_statistics
            As in :meth:`features`.

        Returns
        -------
        torch.Tensor
            Outputs (B, M, C): logits of classes, or numbers.
        """
        features = self.features(readouts, own_statistics=own_statistics)
        return self.head(features).reshape(-1, self.answers, self.classes)

    def check_samples(self, count: int) -> None:
        """Check that so many samples can be normalized with their own statistics.

        Parameters
        ----------
        count
            Samples of one measurement.

        Raises
        ------
        ConfigurationError
            When they are too few.
        """
        if self.normalization is not None:
            self.normalization.check_samples(count)

    def settle(self, batches: Iterable[torch.Tensor], seed: int = 0) -> None:
        """Save the statistics that normalize readouts in evaluation.

        To be called before a model that normalizes is evaluated; otherwise it does nothing.

        Parameters
        ----------
        batches
            Tokens (B, T, c) of all training samples, batch by batch; they are read with the noise of training, if any.
        seed
            What is random in the noise is drawn from it.
        """
        if self.normalization is None:
            return
        mode = self.training
        self.eval()
        with torch.no_grad(), self.as_trained(seed):
            self.normalization.settle(self._rows(self.read(tokens)) for tokens in batches)
        self.train(mode)


_exact: ExecutionFactory = lambda memory, readout, steps, readout_steps: ExactExecution.of(  # noqa: E731
    memory, readout, readout_steps
)

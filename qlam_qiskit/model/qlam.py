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

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model.layer import MemoryLayer
from qlam_qiskit.model.noise import device_circuit
from qlam_qiskit.model.normalization import ReadoutNormalization
from qlam_qiskit.model.settings import ModelSettings, readout_steps
from qlam_qiskit.network import AnyBackend, ExactExecution, ExecutionFactory, executions_on
from qlam_qiskit.templates import load_template


class QLAM(nn.Module):
    """Maps tokens (B, T, c) to logits (B, M, C): M answers of C classes each.

    Parameters
    ----------
    settings
        Everything else about the model, the ``model:`` section of an experiment; by default its defaults.
    steps, token_size
        T and c.
    classes, answers
        C and M.
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
        For an unknown template or backend, or when both ``backend`` and ``execution`` are given.
    """

    def __init__(
        self,
        settings: ModelSettings | None = None,
        *,
        steps: int,
        classes: int,
        token_size: int = 1,
        answers: int = 1,
        circuit: MemoryCircuit | str | None = None,
        backend: AnyBackend | None = None,
        execution: ExecutionFactory | None = None,
    ) -> None:
        super().__init__()
        settings = settings or ModelSettings()
        if backend is not None:
            if execution is not None:
                raise ConfigurationError("give a model a backend or an execution, not both")
            execution = executions_on(backend)
        if not isinstance(circuit, MemoryCircuit):
            named = settings.circuit
            circuit = load_template(circuit or named.template, named.qubits, {} if circuit else named.options)
        self.circuit = circuit
        times = settings.readout.times
        self.answers, self.classes = answers, classes
        every_step = tuple(range(steps))
        spaced = readout_steps(steps, times)
        self.layers = nn.ModuleList()
        for index in range(settings.layers):
            last = index == settings.layers - 1
            read = spaced if last else every_step
            layer = MemoryLayer(settings, token_size, steps, read, execution or _exact, circuit, inner=not last)
            self.layers.append(layer)
            token_size = layer.readout_size
        self.noise = settings.noise
        self.kept_noise: Callable[[], MemoryCircuit] | None = None  # in place of the device's of today
        self._injected = False
        normalize, spread = settings.readout.normalize is not None, settings.readout.spread
        self.normalization = ReadoutNormalization(times * token_size, spread) if normalize else None
        self.head = nn.Linear(times * token_size, answers * classes)

    def forward(self, tokens: torch.Tensor, query: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (B, M, C)."""
        return self.classify(self.read(tokens, query))

    def read(self, tokens: torch.Tensor, query: torch.Tensor | None = None) -> torch.Tensor:
        """Return what the last layer reads, (B, R, H * Q * K); tokens of any real dtype are taken in the model's."""
        if tokens.is_complex():
            raise ConfigurationError(f"tokens are real numbers, not {str(tokens.dtype).removeprefix('torch.')}")
        tokens = tokens.to(self.head.weight.dtype)
        query = None if query is None else query.to(self.head.weight.dtype)
        if (self.training or self._injected) and self.layers[0].memory.in_training is None:
            noisy = (self.kept_noise or self.device_circuit)()
            if noisy is not None:
                self.suffer(noisy)
        for layer in self.layers:
            tokens = layer(tokens, query)
        return tokens

    def device_circuit(self) -> MemoryCircuit | None:
        """Write the errors of the device that the model is trained for (``noise.device``) into its memory's circuit.

        Returns None where it is trained for none. Raises QlamError for a device that there is not, or that does not
        take the circuit.
        """
        if self.noise.device is None:
            return None
        network = self.layers[0].memory.neural_network
        return device_circuit(network.memory, self.noise.device, network.readout)

    def suffer(self, noisy: MemoryCircuit) -> None:
        """Train on ``noisy`` from now on, the memory's circuit with errors in it.

        Without this call a model with ``noise.device`` asks the device when its noise is first needed. Raises
        ConfigurationError where the memories do not run on the exact engine.
        """
        for layer in self.layers:
            layer.suffer(noisy)

    @contextmanager
    def as_trained(self, seed: int) -> Iterator[None]:
        """Evaluate with the noise that the model is trained with, drawn from ``seed``, until the context ends.

        Without such noise nothing changes. torch's generator is afterwards where it was before.
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
        """Return what the head sees of readouts (B, R, H * Q * K): all of them in a row, normalized if the model does.

        ``own_statistics`` normalizes with those of the readouts given, as for readouts from anywhere but the exact
        engine; raises ConfigurationError when they are too few for that.
        """
        flat = readouts.flatten(1)
        return flat if self.normalization is None else self.normalization(flat, own_statistics=own_statistics)

    def classify(self, readouts: torch.Tensor, *, own_statistics: bool = False) -> torch.Tensor:
        """Map readouts (B, R, H * Q * K) to logits (B, M, C); ``own_statistics`` as in :meth:`features`."""
        features = self.features(readouts, own_statistics=own_statistics)
        return self.head(features).reshape(-1, self.answers, self.classes)

    def check_samples(self, count: int) -> None:
        """Raise ConfigurationError when ``count`` samples are too few to be normalized with their own statistics."""
        if self.normalization is not None:
            self.normalization.check_samples(count)

    def settle(self, batches: Iterable[torch.Tensor], seed: int = 0) -> None:
        """Save the statistics that normalize readouts in evaluation, those of all these tokens (B, T, c).

        They are read with the noise of training, if there is any, drawn from ``seed``. To be called before a model that
        normalizes is evaluated; otherwise it does nothing.
        """
        if self.normalization is None:
            return
        mode = self.training
        self.eval()
        with torch.no_grad(), self.as_trained(seed):
            self.normalization.settle(self.read(tokens).flatten(1) for tokens in batches)
        self.train(mode)


_exact: ExecutionFactory = lambda memory, readout, steps, readout_steps: ExactExecution.of(  # noqa: E731
    memory, readout, readout_steps
)

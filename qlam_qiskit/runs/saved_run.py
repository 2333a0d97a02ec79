"""A trained run as it lies in its folder: its experiment, circuit, data and model, each read once, at first use."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from qlam_qiskit.baselines import Baseline
from qlam_qiskit.configuration import whole
from qlam_qiskit.data import SequenceData, Split, load_data, validation_split
from qlam_qiskit.errors import ConfigurationError, QlamError, RunError
from qlam_qiskit.memory_circuit import MemoryCircuit
from qlam_qiskit.model import QLAM, ModelSettings
from qlam_qiskit.network import AnyBackend, ExecutionFactory, executions_on
from qlam_qiskit.runs.building import build_model, check_description
from qlam_qiskit.runs.checkpoint import load_checkpoint, load_weights
from qlam_qiskit.runs.circuit_file import read_circuit
from qlam_qiskit.runs.experiment import Experiment
from qlam_qiskit.runs.model_card import ModelCard
from qlam_qiskit.runs.overview import Overview
from qlam_qiskit.runs.predictions import Estimates, Predictions, predict
from qlam_qiskit.runs.run_folder import RunFolder
from qlam_qiskit.templates import load_installed_template
from qlam_qiskit.words import html_table, quality

Part = Literal["test", "validation", "train"]
_Run = TypeVar("_Run", bound="SavedRun")


@dataclass(frozen=True, repr=False)
class SavedRun:
    """A run's folder, with what is in it; nothing in it is executed.

    Attributes
    ----------
    folder
        Its files.
    data_dir
        Holds a folder for each data set; by default ``QLAM_DATA`` or the user's cache.
    loaded
        The task's sequences, where they have been read already.
    """

    folder: RunFolder
    data_dir: Path | None = None
    loaded: SequenceData | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.folder, str | Path):
            object.__setattr__(self, "folder", RunFolder.open(Path(self.folder)))
        if isinstance(self.data_dir, str):
            object.__setattr__(self, "data_dir", Path(self.data_dir))

    def __repr__(self) -> str:
        seen = Overview.of(self.folder)
        return f"<{type(self).__name__} {self.folder.reference}: {seen.problem or f'{seen.task}, {seen.reached}'}>"

    def _repr_html_(self) -> str:
        try:
            return html_table(self.described())
        except QlamError as error:
            return html_table([("run", self.folder.reference), ("damaged", str(error))])

    @classmethod
    def open(cls: type[_Run], path: Path | str | SavedRun, data_dir: Path | str | None = None) -> _Run:
        """Open a run by its folder, by its name in the workspace, or as ``pretrained:NAME``.

        Parameters
        ----------
        path
            The folder or the name, with ``pretrained:`` before one of :func:`find_pretrained`; a run that is open
            already comes back as it is.
        data_dir
            Where the data sets lie.

        Returns
        -------
        SavedRun
            Of the class that was asked.

        Raises
        ------
        RunError
            When there is no such run.
        """
        if isinstance(path, cls):
            return path
        if isinstance(path, SavedRun):
            return cls(path.folder, path.data_dir, path.loaded)
        return cls(RunFolder.open(Path(path)), None if data_dir is None else Path(data_dir))

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.folder.path

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment that the run was started with."""
        return self.folder.experiment()

    @property
    def result(self) -> dict[str, Any] | None:
        """What training ended with, such as ``test_accuracy`` or ``test_nrmse``; None while it has not."""
        return self.folder.result()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Losses (nats) and accuracies of every finished epoch."""
        return self.folder.metrics()

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """What later evaluations found, the oldest first."""
        return self.folder.evaluations()

    @cached_property
    def card(self) -> ModelCard | None:
        """What someone says of the run, what it is for and what not; None where nobody has.

        Raises RunError when the card is damaged.
        """
        return ModelCard.read(self.folder.card) if self.folder.card.exists() else None

    @cached_property
    def circuit(self) -> MemoryCircuit:
        """The memory's circuit, as the folder has it.

        Raises ConfigurationError for a model without one, and RunError when it is damaged, or not there and the
        template is none that comes with the package.
        """
        model = self.experiment.model
        if not isinstance(model, ModelSettings):
            raise ConfigurationError(f"{self.path}: a model of kind {model.kind} has no circuit")
        settings, path = model.circuit, self.folder.circuit
        if path.exists():
            memory = read_circuit(path, self._digest("circuit_digest"))
        else:
            try:
                memory = load_installed_template(settings.template, settings.qubits, settings.options)
            except ConfigurationError as error:
                raise RunError(
                    f"{path}: missing, and a run's folder does not say what code to run: {error}; train its "
                    "experiment with --resume, which adds the file"
                ) from None
        if memory.num_qubits != settings.qubits:
            raise RunError(
                f"{self.path}: a run of another model: its qubits was {memory.num_qubits}, its experiment now gives "
                f"{settings.qubits}"
            )
        return memory

    @cached_property
    def noisy_circuit(self) -> MemoryCircuit | None:
        """The circuit with the errors that the model is trained with; None where the folder has none.

        Raises RunError when it is damaged.
        """
        path = self.folder.noisy_circuit
        if not path.exists():
            return None
        return read_circuit(path, self.folder.description().get("noisy_circuit_digest"))

    @cached_property
    def data(self) -> SequenceData:
        """The task's sequences."""
        return self.loaded or load_data(self.experiment.data, self.data_dir)

    def part(self, part: Part, limit: int | None = None) -> Split:
        """Return samples that a run was trained on, chose its best epoch by, or is tested on.

        Parameters
        ----------
        part
            "train", "validation" or "test".
        limit
            Keep the first so many.

        Returns
        -------
        Split
            Their tokens and labels.

        Raises
        ------
        ConfigurationError
            For another part, a limit below 1, and where the run held none out for validation.
        """
        if part not in get_args(Part):
            raise ConfigurationError(f"a part of the samples is one of {', '.join(get_args(Part))}, not {part!r}")
        if limit is not None:
            limit = whole("limit", limit)
        return self._whole(part).subset(slice(limit))

    def model(self, backend: AnyBackend | ExecutionFactory | None = None) -> QLAM | Baseline:
        """Rebuild the model with its best weights.

        Parameters
        ----------
        backend
            Where its memories run: a name in the backend registry, an entry of it, a Qiskit ``BackendV2``, a V2
            sampler or estimator, or a factory of executions; by default the exact engine, whose model is kept.

        Returns
        -------
        QLAM or Baseline
            In evaluation mode.

        Raises
        ------
        RunError
            When the folder is damaged, or its weights are of another model.
        """
        if backend is None:
            return self._exact
        if not callable(backend):
            backend = executions_on(backend, seed=self.experiment.seed)
        return self._build(backend)

    def qlam(self, backend: AnyBackend | ExecutionFactory | None = None) -> QLAM:
        """Rebuild the model for what only circuits can do.

        Parameters
        ----------
        backend
            As in :meth:`model`.

        Returns
        -------
        QLAM
            In evaluation mode.

        Raises
        ------
        ConfigurationError
            When the model is a baseline.
        """
        model = self.model(backend)
        if not isinstance(model, QLAM):
            kind = self.experiment.model.kind
            raise ConfigurationError(
                f"{self.path}: a model of kind {kind} has no circuit, and runs on no backend with any"
            )
        return model

    def predict(
        self,
        part: Part = "test",
        limit: int | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Predictions | Estimates:
        """Answer samples on the exact engine, with the noise that the run was trained with.

        Parameters
        ----------
        part, limit
            Which samples: the first ``limit`` of the test set, of those held out, or of those trained on.
        progress
            Hears how many samples of how many are done.

        Returns
        -------
        Predictions or Estimates
            Labels and answers (N, M), with losses (nats) and confidences; of regression true and predicted numbers.
        """
        model, size = self.model(), self.experiment.training.batch_size
        with model.as_trained(self.experiment.seed) if isinstance(model, QLAM) else nullcontext():
            return predict(model, self.part(part, limit), self.data, progress, size)

    def described(self) -> list[tuple[str, str]]:
        """Say what was trained, where, how well, and what every evaluation found.

        Returns
        -------
        list
            Pairs of a label and a text.
        """
        description, result, model = self.folder.description(), self.result, self.experiment.model
        kind = model.kind
        if isinstance(model, ModelSettings):
            kind = f"{kind}, {model.circuit.template} on {model.circuit.qubits} qubits"
        lines = [
            ("run", self.folder.reference),
            ("task", f"{description.get('task')}"),
            ("model", f"{kind}, {description.get('parameters', 0):,} parameters"),
            ("backend", f"{description.get('backend')}, seed {self.experiment.seed}"),
            ("epochs", f"{len(self.metrics)} of {self.experiment.training.epochs}"),
        ]
        if result is not None:
            noise = ""
            if result.get("test_noise"):
                noise = f" with {result['test_noise']}"
            if result.get("clean_test_accuracy") is not None:
                noise += f", {result['clean_test_accuracy']:.2%} without noise"
            lines.append(("test", f"{quality(result, 'test_')} {result['test_samples']:,} samples{noise}"))
            lines.append(("training", f"{result['train_seconds']:.1f} s, best epoch {result['best_epoch']}"))
        for row in self.evaluations:
            drawn = f"{row['shots']:,} shots" if row.get("shots") else "exact"
            drawn = row.get("noise") or drawn
            samples = f"{row['samples']:,} {row.get('part', 'test')} samples"
            lines.append(("evaluated", f"{quality(row)} {samples} on {row['backend']} ({drawn})"))
        return [*lines, *(self.card.lines() if self.card else ())]

    @cached_property
    def _exact(self) -> QLAM | Baseline:
        return self._build(None)

    def _build(self, execution: ExecutionFactory | None) -> QLAM | Baseline:
        checkpoint = load_checkpoint(self.folder.best)
        settings = self.experiment.model
        circuit = self.circuit if isinstance(settings, ModelSettings) else None
        model = build_model(settings, self.data, execution, self.experiment.seed, circuit)
        check_description(self.folder, model, self.data)
        load_weights(model, checkpoint, self.folder.best)
        if self.folder.noisy_circuit.exists() and isinstance(model, QLAM):
            # Of the calibration that the run began with; read where it is needed.
            model.kept_noise = partial(read_circuit, self.folder.noisy_circuit, self._digest("noisy_circuit_digest"))
        return model.eval()

    def _digest(self, name: str) -> str | None:
        return self.folder.description().get(name)

    def _whole(self, part: Part) -> Split:
        if part == "test":
            return self.data.test
        fraction = self.experiment.training.validation_fraction
        if fraction:
            training, validation = validation_split(self.data.train, fraction, self.experiment.seed)
            return training if part == "train" else validation
        if part == "validation":
            raise ConfigurationError(
                f"{self.path}: trained on all samples (validation_fraction: 0), none to validate on"
            )
        return self.data.train

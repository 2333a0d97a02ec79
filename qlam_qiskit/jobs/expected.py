"""What the result of a job must look like. Everything that arrives, or lies on disk, is compared with it.

A result whose text is whole may still be another job's, of fewer shots, or of bits that no register holds; and a
figure in a paper would be made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qlam_qiskit.backends import BackendSpec, IBMSpec
from qlam_qiskit.jobs.faults import DamagedResultError, WrongResultError
from qlam_qiskit.jobs.job_identity import METADATA_KEY, can_be_renamed, identity, marked_name
from qlam_qiskit.planning import executions_of_row, precision_shots, uses_extrapolation, uses_mitigation

SHOTS_SEEN = "shots_seen"
"""Key of a result's metadata: the shots of every setting as the raw answer has them, where that can be seen."""
NO_BITS_SEEN = "no_bits_seen"
"""Key of a result's metadata: registers whose raw values are no bits, where that can be seen."""

_PRECISION_MARGIN = 0.05
# A mitigated value may leave the range of the observable, by its own error or by an extrapolation.
_STANDARD_ERRORS = 6.0
_EXTRAPOLATION = 2.0


@dataclass(frozen=True)
class ExpectedPub:
    """What one pub's part of a result must look like.

    Attributes
    ----------
    shape
        The pub's.
    registers
        Bits of each classical register by name; None for an estimator.
    shots
        Of each row; None where the backend chooses.
    precision
        Asked of an estimator; None where the backend chooses.
    bounds
        The largest absolute value that each observable can have, nested as the observables are; None for a sampler.
    renamed
        Whether the registers bear the job's mark when they are sent to a service.
    """

    shape: tuple[int, ...]
    registers: dict[str, int] | None = None
    shots: int | None = None
    precision: float | None = None
    bounds: Any = None
    renamed: bool = False

    @classmethod
    def of(cls, pub: SamplerPub | EstimatorPub) -> ExpectedPub:
        """Say what is expected of a pub."""
        if isinstance(pub, SamplerPub):
            registers = {register.name: register.size for register in pub.circuit.cregs}
            return cls(pub.shape, registers, pub.shots, renamed=can_be_renamed(pub.circuit))
        return cls(pub.shape, precision=pub.precision, bounds=_bounds(pub.observables.tolist()))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {**vars(self), "shape": list(self.shape)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> ExpectedPub:
        """Read what :meth:`to_json` wrote."""
        return cls(**{**values, "shape": tuple(values["shape"])})


@dataclass(frozen=True)
class ExpectedResult:
    """What a job's result must look like; ``tag`` is the job's where its circuits were sent with its mark."""

    pubs: tuple[ExpectedPub, ...]
    spec: BackendSpec | None = None
    tag: str | None = None

    def check(self, result: Any, *, renamed: bool = True) -> PrimitiveResult:
        """Return ``result``, its registers named as in the pubs, if it is what was asked for.

        ``renamed`` as long as its registers bear the names that were sent; a saved one has the pubs' own again.
        Raises DamagedResultError for what is no result at all, which is how the client hands on a text that was cut
        short, and WrongResultError for the result of something else.
        """
        if not isinstance(result, PrimitiveResult):
            raise DamagedResultError(f"the result was cut short or is of another kind ({type(result).__name__})")
        if len(result) != len(self.pubs):
            raise WrongResultError(f"it answers {len(result)} circuits, and {len(self.pubs)} were asked about")
        answers = [
            self._check_pub(index, answer, pub, renamed)
            for index, (answer, pub) in enumerate(zip(result, self.pubs, strict=True))
        ]
        self._check_raw(result.metadata)
        return PrimitiveResult(answers, metadata=result.metadata)

    def _check_pub(self, index: int, answer: PubResult, pub: ExpectedPub, renamed: bool) -> PubResult:
        where = f"circuit {index}"
        if not isinstance(getattr(answer, "data", None), DataBin):
            raise WrongResultError(f"{where}: it holds {type(answer).__name__}, not the result of a circuit")
        # The service may answer a single execution without its dimension.
        if tuple(answer.data.shape) != pub.shape and (answer.data.size, np.prod(pub.shape)) != (1, 1):
            raise WrongResultError(f"{where}: its shape is {tuple(answer.data.shape)}, and {pub.shape} was asked for")
        said = answer.metadata.get("circuit_metadata") if isinstance(answer.metadata, dict) else None
        if self.tag is not None and said and _mark(said) != identity(self.tag, index):
            raise WrongResultError(f"{where}: it is the result of another job or circuit")
        if pub.registers is None:
            self._check_values(where, answer, pub)
            return answer
        names = {name: name for name in pub.registers}
        if self.tag is not None and pub.renamed and renamed:
            names = {name: marked_name(name, self.tag, index) for name in pub.registers}
        return SamplerPubResult(self._checked_bits(where, names, answer, pub), answer.metadata)

    def _checked_bits(self, where: str, names: dict[str, str], answer: PubResult, pub: ExpectedPub) -> DataBin:
        _check_names(where, set(answer.data.keys()), set(names.values()))
        shots = self._shots(pub)
        fields = {}
        for name, sent_as in names.items():
            bits = answer.data[sent_as]
            if not isinstance(bits, BitArray):
                raise WrongResultError(f"{where}: register {name} holds {type(bits).__name__}, not bits")
            if bits.num_bits != pub.registers[name]:
                raise WrongResultError(
                    f"{where}: register {name} has {bits.num_bits} bits, and {pub.registers[name]} were asked for"
                )
            if tuple(bits.shape) != tuple(answer.data.shape):
                raise WrongResultError(f"{where}: register {name} has {bits.size} rows of {answer.data.size}")
            if shots is not None and bits.num_shots not in shots:
                raise WrongResultError(f"{where}: it has {bits.num_shots:,} shots, and {min(shots):,} were asked for")
            if _has_foreign_bits(bits):
                raise WrongResultError(f"{where}: register {name} holds values that {bits.num_bits} bits cannot have")
            fields[name] = bits
        return DataBin(**fields, shape=answer.data.shape)

    def _shots(self, pub: ExpectedPub) -> set[int] | None:
        """Twirling rounds shots up to whole randomizations."""
        return None if pub.shots is None else {pub.shots, executions_of_row(self.spec, pub.shots)}

    def _check_values(self, where: str, answer: PubResult, pub: ExpectedPub) -> None:
        if missing := {"evs", "stds"} - set(answer.data.keys()):
            raise WrongResultError(f"{where}: it has no {' and no '.join(sorted(missing))}")
        evs, stds = (np.asarray(answer.data[name]) for name in ("evs", "stds"))
        for name, values in (("evs", evs), ("stds", stds)):
            if values.shape != tuple(answer.data.shape) or values.dtype.kind not in "fiu":
                raise WrongResultError(f"{where}: its {name} have shape {values.shape}, and {pub.shape} was asked for")
            if not np.isfinite(values).all():
                raise WrongResultError(f"{where}: its {name} are not all numbers")
        if (stds < 0).any():
            raise WrongResultError(f"{where}: it has a negative standard error")
        bounds = np.broadcast_to(np.asarray(pub.bounds, dtype=float), pub.shape).reshape(evs.shape) + 1e-9
        if uses_mitigation(self.spec):
            bounds = bounds * (_EXTRAPOLATION if uses_extrapolation(self.spec) else 1.0) + _STANDARD_ERRORS * stds
        if (np.abs(evs) > bounds).any():
            worst = float(evs.flat[np.argmax(np.abs(evs) - bounds)])
            raise WrongResultError(f"{where}: an expectation value of {worst:.4g} is more than its observable can have")
        said = answer.metadata.get("target_precision") if isinstance(answer.metadata, dict) else None
        known = self.tag is not None and pub.precision and isinstance(said, int | float) and said > 0
        if known and abs(said / pub.precision - 1) > _PRECISION_MARGIN:
            raise WrongResultError(f"{where}: its precision is {said:.3g}, and {pub.precision:.3g} was asked for")

    def _check_raw(self, metadata: Any) -> None:
        """Check what the raw answer showed before bits were packed or averaged."""
        metadata = metadata if isinstance(metadata, dict) else {}
        if no_bits := metadata.get(NO_BITS_SEEN):
            raise WrongResultError(f"it holds values that are no bits (register {_listed(set(no_bits))})")
        precision = self.pubs[0].precision
        if precision is None or uses_extrapolation(self.spec):
            return
        asked = executions_of_row(self.spec, precision_shots(precision))
        for shots in metadata.get(SHOTS_SEEN) or ():
            if shots != asked:
                raise WrongResultError(f"it has {shots:,} shots, and {asked:,} were asked for")


def expect(pubs: Sequence[SamplerPub | EstimatorPub]) -> tuple[ExpectedPub, ...]:
    """Say what is expected of the pubs of a job."""
    return tuple(ExpectedPub.of(pub) for pub in pubs)


def is_marked(spec: BackendSpec) -> bool:
    """Whether jobs to this kind of backend are sent with their mark: those that a service runs among others'."""
    return isinstance(spec, IBMSpec)


def _bounds(observables: Any) -> Any:
    """Return the largest absolute value of each observable, in lists nested as ``observables`` are."""
    if isinstance(observables, list):
        return [_bounds(entry) for entry in observables]
    return float(sum(abs(weight) for weight in observables.values()))


def _mark(circuit_metadata: Any) -> Any:
    return circuit_metadata.get(METADATA_KEY) if isinstance(circuit_metadata, dict) else None


def _check_names(where: str, found: set[str], wanted: set[str]) -> None:
    if found == wanted:
        return
    if not found & wanted:
        raise WrongResultError(f"{where}: it is the result of another job or circuit (registers {_listed(found)})")
    if missing := wanted - found:
        raise WrongResultError(f"{where}: it has no register {_listed(missing)}")
    raise WrongResultError(f"{where}: it has a register that was not asked for: {_listed(found - wanted)}")


def _listed(names: set[str]) -> str:
    shown = sorted(names)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")


def _has_foreign_bits(bits: BitArray) -> bool:
    """Whether a value has bits above the register's width; the first byte is the most significant."""
    used = bits.num_bits % 8
    return bool(used) and bool((bits.array[..., 0] >> used).any())

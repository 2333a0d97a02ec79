"""Angles as functions of parameters: Qiskit expressions made into matrices where affine, into numpy otherwise.

Nearly every circuit has affine angles (``2 * x[0] + w[3]``), which cost one small matrix product. Products, powers and
functions of parameters, as in a ZZ feature map, are evaluated as Qiskit writes them out, and so are the derivatives
that Qiskit finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, ParameterExpression

from qlam_qiskit.engine.primitives import Angle
from qlam_qiskit.errors import CircuitError

# The functions that Qiskit writes; parameters are real, so that conj changes nothing.
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "exp": np.exp,
    "log": np.log,
    "abs": np.abs,
    "sign": np.sign,
    "conj": np.real,
}


class UndefinedAngleError(CircuitError):
    """An angle, or a derivative of it, that is no finite real number at ``values`` of its parameters."""

    def __init__(self, message: str, values: Mapping[Parameter, float]) -> None:
        super().__init__(message)
        self.values = dict(values)


def parameters_of(angle: Angle) -> frozenset[Parameter]:
    """Return the parameters that an angle depends on."""
    return frozenset(angle.parameters) if isinstance(angle, ParameterExpression) else frozenset()


def derivative_of(angle: ParameterExpression, parameter: Parameter) -> Angle:
    """Return Qiskit's derivative of an angle; raises CircuitError where it has none, as for a parameter's sign."""
    try:
        return angle.gradient(parameter)
    except RuntimeError:
        raise CircuitError(f"the angle {angle} has no derivative by {parameter.name}") from None


def affine_part(angle: Angle, parameters: Sequence[Parameter]) -> tuple[dict[Parameter, float], Angle] | None:
    """Split an angle into constant factors of ``parameters`` and a rest without them; None when it is not affine."""
    mine = parameters_of(angle).intersection(parameters)
    factors = {}
    for parameter in sorted(mine, key=parameters.index):
        factor = derivative_of(angle, parameter)
        if parameters_of(factor):
            return None
        factors[parameter] = _number(factor)
    try:
        rest = angle.bind(dict.fromkeys(mine, 0.0)) if mine else angle
    except (ZeroDivisionError, RuntimeError):  # not defined at 0
        return None
    return factors, rest if parameters_of(rest) else _number(rest)


def _number(value: Angle | complex) -> float:
    number = complex(value)
    if number.imag:
        raise CircuitError(f"an angle is a finite real number, not {number}")
    return number.real


@dataclass(frozen=True)
class NonlinearAngle:
    """An angle as Python text of the parameters p0, p1, ..., with the texts of its derivatives by their numbers."""

    angle: ParameterExpression
    text: str
    derivatives: dict[int, str]

    @classmethod
    def of(cls, angle: ParameterExpression, parameters: Sequence[Parameter]) -> NonlinearAngle:
        """Write an angle out; raises CircuitError where it has no derivative, or complex numbers."""
        mine = {parameter: k for k, parameter in enumerate(parameters) if parameter in parameters_of(angle)}
        # Names of a user's choice need not be identifiers: compute with our own.
        safe = {parameter: Parameter(f"p{k}") for parameter, k in mine.items()}
        renamed = angle.subs(safe)
        derivatives = {}
        for parameter, k in mine.items():
            derivative_of(angle, parameter)
            derivatives[k] = str(renamed.gradient(safe[parameter]))
        known = {*_FUNCTIONS, *(parameter.name for parameter in safe.values())}
        for text in (str(renamed), *derivatives.values()):
            try:
                if known.issuperset(_code(text).co_names):
                    continue
            except SyntaxError:  # a complex number
                pass
            raise CircuitError(f"an angle is a finite real number, not {angle}")
        return cls(angle, str(renamed), derivatives)


def evaluate(text: str, columns: Mapping[str, Any], functions: Mapping[str, Callable[[Any], Any]] = _FUNCTIONS) -> Any:
    """Evaluate the text of an expression, given a value of each of its parameters p0, p1, ..."""
    return eval(_code(text), {"__builtins__": {}, **functions}, columns)


@lru_cache(maxsize=4096)
def _code(text: str) -> CodeType:
    return compile(text, "<angle>", "eval")


class AngleFunctions:
    """M angles as functions of P parameters, with the product of a cotangent and their Jacobian.

    Angle m is row m of ``matrix`` (M, P) times the parameters, plus ``constant[m]``, or else ``nonlinear[m]``. Raises
    CircuitError for an angle without a derivative, or one that is complex.
    """

    def __init__(self, angles: Sequence[Angle], parameters: Sequence[Parameter]) -> None:
        self._parameters = tuple(parameters)
        self.constant = np.zeros(len(angles))
        self.matrix = np.zeros((len(angles), len(parameters)))
        self.nonlinear: dict[int, NonlinearAngle] = {}
        index = {parameter: k for k, parameter in enumerate(parameters)}
        for row, angle in enumerate(angles):
            split = affine_part(angle, parameters)
            if split is None:
                self.nonlinear[row] = NonlinearAngle.of(angle, parameters)
                continue
            factors, rest = split
            self.constant[row] = rest
            for parameter, factor in factors.items():
                self.matrix[row, index[parameter]] = factor

    def __len__(self) -> int:
        return len(self.constant)

    @property
    def num_parameters(self) -> int:
        """Parameters of the functions, P."""
        return self.matrix.shape[1]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Evaluate at ``values`` (..., P); returns (..., M) in float64.

        Raises UndefinedAngleError where an angle is no finite real number, as the logarithm of a negative one.
        """
        values = np.asarray(values, np.float64)
        angles = values @ self.matrix.T + self.constant
        for row, function in self.nonlinear.items():
            angles[..., row] = self._evaluate(function, function.text, values, "value")
        return angles

    def pull_back(self, values: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        """Multiply ``cotangent`` (..., M) with the Jacobian at ``values`` (..., P); returns (..., P) in float64.

        Raises UndefinedAngleError where an angle has no derivative, as the absolute value of 0.
        """
        gradient = np.asarray(cotangent, np.float64) @ self.matrix
        values = np.asarray(values, np.float64)
        for row, function in self.nonlinear.items():
            for k, text in function.derivatives.items():
                by = f"derivative by {self._parameters[k].name}"
                gradient[..., k] += cotangent[..., row] * self._evaluate(function, text, values, by)
        return gradient

    def _evaluate(self, function: NonlinearAngle, text: str, values: np.ndarray, what: str) -> np.ndarray:
        columns = {f"p{k}": values[..., k] for k in function.derivatives}
        with np.errstate(all="ignore"):
            found = np.asarray(evaluate(text, columns), np.float64)
        if not np.isfinite(found).all():
            self._name(function, found, columns, what)
        return found

    def _name(self, function: NonlinearAngle, found: np.ndarray, columns: dict[str, np.ndarray], what: str) -> None:
        """Raise for the first place where finite parameters give no finite number; others are not the angle's fault."""
        good = np.logical_and.reduce([np.isfinite(column) for column in columns.values()])
        places = np.argwhere(good & ~np.isfinite(found))
        if len(places) == 0:
            return
        place = tuple(places[0])
        values = {self._parameters[int(name[1:])]: float(column[place]) for name, column in columns.items()}
        where = ", ".join(f"{parameter.name} = {value:g}" for parameter, value in values.items())
        raise UndefinedAngleError(f"the angle {function.angle} has no finite {what} at {where}", values)

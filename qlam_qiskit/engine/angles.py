"""Angles as functions of parameters: Qiskit expressions made into matrices where affine, into numpy otherwise.

Nearly every circuit has affine angles (``2 * x[0] + w[3]``), which cost one small matrix product; products and
functions of parameters, as in a ZZ feature map, are compiled through sympy together with their derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from qiskit.circuit import Parameter, ParameterExpression

from qlam_qiskit.engine.primitives import Angle
from qlam_qiskit.errors import CircuitError


def parameters_of(angle: Angle) -> frozenset[Parameter]:
    """Return the parameters that an angle depends on."""
    return frozenset(angle.parameters) if isinstance(angle, ParameterExpression) else frozenset()


def affine_part(angle: Angle, parameters: Sequence[Parameter]) -> tuple[dict[Parameter, float], Angle] | None:
    """Split an angle into constant factors of ``parameters`` and a rest without them; None when it is not affine."""
    mine = parameters_of(angle).intersection(parameters)
    factors = {}
    for parameter in sorted(mine, key=parameters.index):
        try:
            factor = angle.gradient(parameter)
        except RuntimeError:
            raise CircuitError(f"the angle {angle} has no derivative by {parameter.name}") from None
        if parameters_of(factor):
            return None
        factors[parameter] = _number(factor)
    rest = angle.bind(dict.fromkeys(mine, 0.0)) if mine else angle
    return factors, rest if parameters_of(rest) else _number(rest)


def _number(value: Angle | complex) -> float:
    number = complex(value)
    if number.imag:
        raise CircuitError(f"an angle is a real number, not {number}")
    return number.real


class AngleFunctions:
    """M angles as functions of P parameters, with the product of a cotangent and their Jacobian."""

    def __init__(self, angles: Sequence[Angle], parameters: Sequence[Parameter]) -> None:
        self._constant = np.zeros(len(angles))
        self._matrix = np.zeros((len(angles), len(parameters)))
        self._nonlinear: list[tuple[int, Callable[..., np.ndarray], list[tuple[int, Callable[..., np.ndarray]]]]] = []
        index = {parameter: k for k, parameter in enumerate(parameters)}
        for row, angle in enumerate(angles):
            split = affine_part(angle, parameters)
            if split is None:
                self._nonlinear.append((row, *_compile(angle, parameters)))
                continue
            factors, rest = split
            self._constant[row] = rest
            for parameter, factor in factors.items():
                self._matrix[row, index[parameter]] = factor

    def __len__(self) -> int:
        return len(self._constant)

    @property
    def num_parameters(self) -> int:
        """Parameters of the functions, P."""
        return self._matrix.shape[1]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Evaluate at ``values`` (..., P); returns (..., M) in float64."""
        values = np.asarray(values, np.float64)
        angles = values @ self._matrix.T + self._constant
        columns = [values[..., k] for k in range(values.shape[-1])]
        for row, function, _ in self._nonlinear:
            angles[..., row] = function(*columns)
        return angles

    def pull_back(self, values: np.ndarray, cotangent: np.ndarray) -> np.ndarray:
        """Multiply ``cotangent`` (..., M) with the Jacobian at ``values`` (..., P); returns (..., P) in float64."""
        gradient = np.asarray(cotangent, np.float64) @ self._matrix
        if self._nonlinear:
            values = np.asarray(values, np.float64)
            columns = [values[..., k] for k in range(values.shape[-1])]
            for row, _, derivatives in self._nonlinear:
                for k, derivative in derivatives:
                    gradient[..., k] += cotangent[..., row] * derivative(*columns)
        return gradient


def _compile(
    angle: ParameterExpression, parameters: Sequence[Parameter]
) -> tuple[Callable[..., np.ndarray], list[tuple[int, Callable[..., np.ndarray]]]]:
    """Turn an expression and its derivatives into numpy functions of all parameters, in order."""
    import sympy

    # Names of a user's choice need not be identifiers: compute with our own.
    safe = {parameter: Parameter(f"p{k}") for k, parameter in enumerate(parameters)}
    mine = parameters_of(angle)
    expression = sympy.sympify(angle.subs({p: safe[p] for p in mine}).sympify())
    symbols = [sympy.Symbol(f"p{k}", real=True) for k in range(len(parameters))]
    by_name = {symbol.name: symbol for symbol in symbols}
    expression = expression.subs({symbol: by_name[symbol.name] for symbol in expression.free_symbols})
    derivatives = [
        (k, sympy.lambdify(symbols, sympy.diff(expression, symbols[k]), "numpy"))
        for k, parameter in enumerate(parameters)
        if parameter in mine
    ]
    return sympy.lambdify(symbols, expression, "numpy"), derivatives

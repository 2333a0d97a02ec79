"""Qiskit's drawing of a circuit with matplotlib, whatever its gates and angles are called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pylatexenc  # noqa: F401  # the drawing needs it: that it is missing is said now, not after hours of predicting

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from qiskit import QuantumCircuit


def draw_with_matplotlib(circuit: QuantumCircuit, **options: Any) -> Figure:
    r"""Draw a circuit; ``options`` are those of :meth:`~qiskit.circuit.QuantumCircuit.draw`.

    The drawer writes names as formulas. Where one is none, such as a gate named ``$\bad$``, all names are plain text.
    """
    import matplotlib as mpl
    from matplotlib import pyplot as plt

    for formulas in (True, False):
        with mpl.rc_context({"text.parse_math": formulas}):
            figure = circuit.draw("mpl", **options)
            plt.close(figure)
            try:
                figure.draw_without_rendering()
            except ValueError:
                if not formulas:
                    raise
            else:
                break
    return figure

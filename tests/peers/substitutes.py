"""A pytest plugin: where qiskit-machine-learning makes its own estimator or estimator gradient, it gets ours."""

from typing import Any

import qiskit_machine_learning.gradients as gradients
import qiskit_machine_learning.neural_networks.estimator_qnn as estimator_qnn
import qiskit_machine_learning.primitives as primitives

from qlam_qiskit.network import AdjointEstimator, AdjointEstimatorGradient


class Estimator(AdjointEstimator):
    """Ours, made with the arguments of QMLEstimator; results are exact, whatever the seed and precision."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()


class Gradient(AdjointEstimatorGradient):
    """Ours, made with the arguments of the stock gradients."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()


for module in (primitives, estimator_qnn):
    for name in ("QMLEstimator", "Estimator"):
        if hasattr(module, name):
            setattr(module, name, Estimator)
for module in (gradients, estimator_qnn):
    for name in ("ParamShiftEstimatorGradient", "LinCombEstimatorGradient"):
        if hasattr(module, name):
            setattr(module, name, Gradient)

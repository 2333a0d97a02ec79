"""The device that the torch engine runs on: found or refused in one line, and held to full single precision."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from qlam_qiskit.errors import BackendError, ConfigurationError


def open_device(name: str) -> torch.device:
    """Return the device; ConfigurationError when it is CUDA and this torch, or this machine, has none."""
    device = torch.device(name)
    if device.type != "cuda":
        return device
    if torch.version.cuda is None and torch.version.hip is None:
        raise ConfigurationError(
            f"device cuda: torch {torch.__version__} is built without CUDA; "
            "install a CUDA build of torch (pytorch.org/get-started), or use device: cpu"
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of what is said here
        available = torch.cuda.is_available()
    if not available:
        raise ConfigurationError(
            f"device cuda: torch {torch.__version__} finds no GPU; it needs one and a driver for CUDA "
            f"{torch.version.cuda or torch.version.hip} or newer (see nvidia-smi), or use device: cpu"
        )
    return device


@contextmanager
def full_precision() -> Iterator[None]:
    """Keep TF32 out of matrix products, and say in one line that the GPU's memory is too small.

    TF32 keeps 10 bits of each factor. Hundreds of unitaries in a row, undone again by their inverses, would leave
    nothing of a gradient; elsewhere in the program the setting is restored, as training a network may well want it.
    """
    restore = _refuse_tf32()
    try:
        yield
    except torch.cuda.OutOfMemoryError:
        raise BackendError("the GPU's memory is too small for this batch; make the batch smaller") from None
    finally:
        restore()


def _refuse_tf32() -> Callable[[], None]:
    """Turn TF32 off if it is on, by the interface that turned it on: torch (2.9 on) raises where the two disagree."""
    settings = torch.backends.cuda.matmul
    newer = getattr(settings, "fp32_precision", None)
    try:
        older = torch.get_float32_matmul_precision()
    except RuntimeError:
        older = None
    if newer not in (None, "tf32") or older == "highest":
        return lambda: None
    if older is None:
        settings.fp32_precision = "ieee"
        return lambda: setattr(settings, "fp32_precision", "tf32")
    torch.set_float32_matmul_precision("highest")
    return lambda: torch.set_float32_matmul_precision(older)

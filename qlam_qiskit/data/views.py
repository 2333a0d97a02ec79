"""How an image becomes a sequence of tokens: by pixels, rows or patches, in order or shuffled."""

from __future__ import annotations

import numpy as np

from qlam_qiskit.errors import ConfigurationError

# A seed that much of the literature on permuted sequential MNIST uses, so that results compare. NumPy has
# frozen RandomState's stream: the permutation is the same in every version.
_PERMUTATION_SEED = 92916


def view_images(images: np.ndarray, view: str, patch: int | None = None) -> np.ndarray:
    """Cut images of shape (N, H, W) or (N, H, W, channels) into tokens, shape (N, T, c), of the same type.

    ``pixels`` scans row by row: T = H W, c = channels. ``rows``: T = H, c = W channels. ``patches`` takes
    squares of ``patch`` pixels a side row by row, each flattened row by row with channels last: T = H W /
    patch^2, c = patch^2 channels. Raises ConfigurationError when the patch does not divide the image.
    """
    count, height, width = images.shape[:3]
    channels = images.shape[3] if images.ndim == 4 else 1
    if view == "pixels":
        return images.reshape(count, height * width, channels)
    if view == "rows":
        return images.reshape(count, height, width * channels)
    if height % patch or width % patch:
        raise ConfigurationError(f"patch {patch} does not divide images of {height} by {width} pixels")
    down, across = height // patch, width // patch
    cut = images.reshape(count, down, patch, across, patch, channels).swapaxes(2, 3)
    return cut.reshape(count, down * across, patch * patch * channels)


def permutation(steps: int) -> np.ndarray:
    """Give the one permutation used for ``steps`` positions: the original position of each step, int64."""
    return np.random.RandomState(_PERMUTATION_SEED).permutation(steps).astype(np.int64)


def task_name(title: str, view: str, patch: int | None, permuted: bool) -> str:
    """Name the task as it is reported: sMNIST, psMNIST, MNIST rows, permuted MNIST 7x7 patches."""
    if view == "pixels":
        return f"{'ps' if permuted else 's'}{title}"
    shown = "rows" if view == "rows" else f"{patch}x{patch} patches"
    return f"{'permuted ' if permuted else ''}{title} {shown}"

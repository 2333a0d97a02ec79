"""Tokens as people see them: an image, a row of symbols, or a strip of numbers; and what a token covers of an image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qlam_qiskit.data import DataSettings, SequenceData, view_images


@dataclass(frozen=True)
class Shown:
    """One sample's tokens.

    Attributes
    ----------
    strip
        The numbers of every token between 0 and 1, (c, T).
    image
        The image that the tokens come from, between 0 and 1, (H, W) or (H, W, 3); None where there is none.
    symbols
        One symbol per token, for tasks of symbols; None otherwise.
    pixels
        Which pixel of the image, counted row by row, each token covers first, ..., (T, pixels); None without image.
    """

    strip: np.ndarray
    image: np.ndarray | None = None
    symbols: tuple[str, ...] | None = None
    pixels: np.ndarray | None = None

    @property
    def steps(self) -> int:
        """Length of the sequence, T."""
        return self.strip.shape[1]

    @property
    def has_outline(self) -> bool:
        """Whether a line around the bright parts shows what the image is of: a grey one that is not tiny."""
        return (
            self.image is not None and self.image.ndim == 2 and min(self.image.shape) >= 16 and np.ptp(self.image) > 0
        )

    def over_image(self, values: np.ndarray) -> np.ndarray:
        """Lay one value per token (T,) over the pixels that the token covers, (H, W)."""
        height, width = self.image.shape[:2]
        laid = np.zeros(height * width)
        laid[self.pixels] = values[:, None]
        return laid.reshape(height, width)


def show_tokens(data: SequenceData, settings: DataSettings, index: int) -> Shown:
    """Turn the tokens of a test sample back into what they were made from."""
    values = np.asarray(data.test.values[index], float)  # (T, c)
    if data.test.lengths is not None:
        values = values[: data.test.lengths[index]]
    least, most = _range(data)
    strip = (values - least) / (most - least)
    if data.image_shape is None:
        return Shown(strip.T, symbols=_symbols(data, settings, index))
    height, width, *channels = data.image_shape
    numbers = np.arange(np.prod(data.image_shape)).reshape(1, *data.image_shape)
    places = view_images(numbers, settings.view, settings.patch)[0]  # of every number of every token
    if data.positions is not None:
        places = places[data.positions]
    image = np.empty(height * width * (channels[0] if channels else 1))
    image[places] = strip
    pixels = places[:, :: channels[0] if channels else 1] // (channels[0] if channels else 1)
    return Shown(strip.T, image.reshape(data.image_shape), pixels=pixels)


def _range(data: SequenceData) -> tuple[float, float]:
    """Return the least and the largest number among the test tokens; different ones even where all are equal."""
    least, most = float(data.test.values.min()), float(data.test.values.max())
    return least, most if most > least else least + 1.0


def _symbols(data: SequenceData, settings: DataSettings, index: int) -> tuple[str, ...] | None:
    """Name the tokens of the tasks that are made of symbols."""
    if settings.dataset == "copying":
        names = [*(str(k) for k in range(settings.alphabet)), "·", "?"]
    elif settings.dataset == "recall" and settings.keys <= 26:
        names = [*(chr(ord("A") + k) for k in range(settings.keys)), *(str(k) for k in range(settings.values)), "·"]
    else:
        return None
    return tuple(names[k] for k in data.test.values[index].argmax(axis=1))

"""Training images moved and mirrored at random, in whatever order their pixels are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Sets what is drawn here apart from whatever else is drawn from the same entropy, such as the order of samples.
_STREAM = 1


@dataclass(frozen=True, eq=False)
class Augmentation:
    """The variants of an image that training draws from, each a rearrangement of the numbers of its tokens.

    Attributes
    ----------
    sources
        int64 (V, T c): for each number of a variant's tokens, which number of the image's own tokens it is.
    """

    sources: np.ndarray

    @classmethod
    def of(
        cls, image_shape: tuple[int, ...], view: Callable[[np.ndarray], np.ndarray], shift: int, *, flip: bool
    ) -> Augmentation:
        """Make all variants of images.

        Parameters
        ----------
        image_shape
            (H, W) or (H, W, channels).
        view
            Turns images (N, *image_shape) into tokens (N, T, c).
        shift
            Pixels that an image moves at most, down, up, right and left; what moves in repeats its edge.
        flip
            Whether there is a mirror image of every variant, left and right exchanged.

        Returns
        -------
        Augmentation
            Of V = (2 shift + 1)^2 variants, twice as many with mirror images.
        """
        height, width = image_shape[:2]
        places = np.arange(np.prod(image_shape)).reshape(image_shape)
        number_at = np.argsort(view(places[None]).ravel())
        margins = [(shift, shift), (shift, shift), (0, 0)][: places.ndim]
        padded = np.pad(places, margins, mode="edge")
        moves = range(2 * shift + 1)
        variants = np.stack([padded[down : down + height, right : right + width] for down in moves for right in moves])
        if flip:
            variants = np.concatenate([variants, variants[:, :, ::-1]])
        return cls(number_at[view(variants).reshape(len(variants), -1)])

    def draw(self, count: int, *entropy: int) -> np.ndarray:
        """Draw a variant for each of ``count`` samples, int64 (N,); the same ``entropy`` draws the same."""
        return np.random.default_rng([*entropy, _STREAM]).integers(len(self.sources), size=count)

    def apply(self, values: np.ndarray, variants: np.ndarray) -> np.ndarray:
        """Rearrange samples' values (B, T, c) as the variants (B,) say."""
        flat = values.reshape(len(values), -1)
        return np.take_along_axis(flat, self.sources[variants], axis=1).reshape(values.shape)

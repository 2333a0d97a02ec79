"""Sets up this process for long trainings: how many threads torch takes, and that freed memory is kept."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


@contextmanager
def training_process(threads: int) -> Iterator[None]:
    """Give torch that many threads meanwhile, and where the C library is glibc, have it keep memory for the next step.

    Tensors of tens of megabytes would otherwise be mapped anew by the kernel in every step, page by page, which takes
    up to half of an LSTM's or a state-space model's time.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

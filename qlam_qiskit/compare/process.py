"""Sets up this process for long trainings: threads of torch, memory that is kept, and full precision on a GPU."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of malloc.h


@contextmanager
def training_process(threads: int) -> Iterator[None]:
    """Give torch that many threads meanwhile, keep TF32 out of its recurrent layers, and have glibc keep freed memory.

    Tensors of tens of megabytes would otherwise be mapped anew by the kernel in every step, page by page, which takes
    up to half of an LSTM's or a state-space model's time.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_MMAP_MAX, 0)
        library.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    before = torch.get_num_threads()
    tf32 = torch.backends.cudnn.allow_tf32
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.backends.cudnn.allow_tf32 = tf32

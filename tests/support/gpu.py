"""Marks of tests that need a GPU, or a machine without one."""

import pytest
import torch

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU and a CUDA build of torch: torch.cuda.is_available() is False"
)
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")

"""A process that has computed may fork: its children compute too, with the same results."""

import multiprocessing
import os
import threading
import warnings

import numpy as np
import pytest
import torch
from deadline import answered_within
from torch.utils.data import DataLoader, Dataset

from qlam_qiskit.engine import ExactEngine, Readout
from qlam_qiskit.network import ExactExecution, MemoryConnector, MemoryNetwork
from qlam_qiskit.templates import load_template

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]
SAMPLES = 64  # several blocks, so that threads are used


def _connector():
    memory = load_template("line", 2)
    execution = ExactExecution(ExactEngine(memory, threads=2), Readout(2))
    network = MemoryNetwork(memory, 3, execution=execution)
    return MemoryConnector(network, initial_weights=np.linspace(-1, 1, network.num_weights))


def _inputs(connector):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(SAMPLES, connector.neural_network.num_inputs, generator=generator)


def _run(connector, inputs):
    """Go forward and backward; returns readouts and gradients as one array."""
    leaf = inputs.clone().requires_grad_()
    values = connector(leaf)
    gradients = torch.autograd.grad(values.square().sum(), [leaf, connector.weight])
    return torch.cat([part.detach().flatten() for part in (values, *gradients)]).numpy()


@pytest.fixture
def in_time():
    """Fail, rather than wait for ever, when a child does not answer."""
    with answered_within(120, "a child hangs"):
        yield


class _Readouts(Dataset):
    """A data set that runs a memory in the worker."""

    def __init__(self, connector, inputs):
        self._connector, self._inputs = connector, inputs

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.from_numpy(_run(self._connector, self._inputs))


@pytest.mark.usefixtures("in_time")
@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with one processor
def test_workers_of_a_data_loader_compute():
    connector = _connector()
    inputs = _inputs(connector)
    expected = _run(connector, inputs)
    loader = DataLoader(_Readouts(connector, inputs), num_workers=2, multiprocessing_context="fork")
    for batch in loader:
        np.testing.assert_array_equal(batch[0], expected)


@pytest.mark.usefixtures("in_time")
def test_processes_of_a_pool_compute():
    connector = _connector()
    inputs = _inputs(connector)
    expected = _run(connector, inputs)
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for found in pool.starmap(_run, [(connector, inputs)] * 4):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.usefixtures("in_time")
def test_a_child_forked_while_another_thread_computes():
    connector = _connector()
    inputs = _inputs(connector)
    expected = _run(connector, inputs)
    stop = threading.Event()

    def compute():
        while not stop.is_set():
            _run(connector, inputs)
            _run(_connector(), inputs)  # resolves its loops anew

    thread = threading.Thread(target=compute)
    thread.start()
    try:
        for _ in range(5):
            assert _in_a_child(lambda: np.array_equal(_run(connector, inputs), expected))
            assert _in_a_child(lambda: np.array_equal(_run(_connector(), inputs), expected))
    finally:
        stop.set()
        thread.join()
    np.testing.assert_array_equal(_run(connector, inputs), expected)


def _in_a_child(check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads, in Python 3.12 and later
        child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if check() else 1
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0

"""A stand-in for IBM Quantum on 127.0.0.1 that the real qiskit-ibm-runtime client talks to.

It speaks the REST API, executes what it is sent with Aer, fails on demand, and remembers what it accepted, so that a
test can count lost and duplicate jobs from the server's side.
"""

from loopback.faults import Fault
from loopback.server import LoopbackServer
from loopback.state import LoopbackState

__all__ = ["Fault", "LoopbackServer", "LoopbackState"]

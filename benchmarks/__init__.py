"""How fast a recurrent circuit is differentiated, here and elsewhere: ``python -m benchmarks.peers`` at the root."""

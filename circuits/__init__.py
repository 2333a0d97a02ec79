"""Memory circuits: one template a file, each with ``build(num_qubits, ...) -> MemoryCircuit``.

Add a file here, or in ``./circuits`` of the folder you work in, and its name becomes the template's name.
"""

"""``python -m qlam_qiskit`` is ``qlam``."""

from qlam_qiskit.cli import main

if __name__ == "__main__":
    main()

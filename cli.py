"""``python cli.py ...`` is ``qlam ...``, straight from a checkout."""

from qlam_qiskit.cli import main

if __name__ == "__main__":
    main()

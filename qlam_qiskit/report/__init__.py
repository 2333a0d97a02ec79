"""A look at a trained run: one self-contained HTML page, the same figures as files, and the numbers in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qlam_qiskit.lazy import lazy_names

if TYPE_CHECKING:
    from qlam_qiskit.report.figures import draw_circuit as draw_circuit
    from qlam_qiskit.report.findings import Findings as Findings
    from qlam_qiskit.report.gallery import FIGURES as FIGURES
    from qlam_qiskit.report.gallery import Absent as Absent
    from qlam_qiskit.report.gallery import Picture as Picture
    from qlam_qiskit.report.gallery import pictures as pictures
    from qlam_qiskit.report.gallery import usual as usual
    from qlam_qiskit.report.page import Written as Written
    from qlam_qiskit.report.page import build_report as build_report
    from qlam_qiskit.report.page import draw as draw
    from qlam_qiskit.report.page import write_figures as write_figures
    from qlam_qiskit.report.style import GRID as GRID
    from qlam_qiskit.report.style import INK as INK
    from qlam_qiskit.report.style import MUTED as MUTED
    from qlam_qiskit.report.style import SERIES as SERIES
    from qlam_qiskit.report.style import WIDTH as WIDTH
    from qlam_qiskit.report.style import as_file as as_file
    from qlam_qiskit.report.style import as_inline_svg as as_inline_svg
    from qlam_qiskit.report.style import drawing as drawing
    from qlam_qiskit.report.style import stylesheet as stylesheet

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "figures": "draw_circuit",
        "findings": "Findings",
        "gallery": "Absent FIGURES Picture pictures usual",
        "page": "Written build_report draw write_figures",
        "style": "GRID INK MUTED SERIES WIDTH as_file as_inline_svg drawing stylesheet",
    },
)

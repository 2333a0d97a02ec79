"""Runs qiskit-machine-learning's own tests against AdjointEstimator and AdjointEstimatorGradient.

    python -m tests.peers.qiskit_machine_learning

The sources of the installed version come from the package registry; without them the script says so and leaves with
status 0. It prints the counts, and every failure with its reason; a failure that KNOWN does not explain is status 1.
"""

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from importlib.metadata import version
from pathlib import Path

# The files that make estimators or their gradients.
FILES = (
    "neural_networks/test_estimator_qnn.py",
    "neural_networks/test_effective_dimension.py",
    "gradients/test_estimator_gradient.py",
    "connectors/test_torch_connector.py",
    "connectors/test_cpu_torch_connector.py",
    "connectors/test_cpu_torch_networks.py",
    "algorithms/classifiers/test_neural_network_classifier.py",
    "algorithms/regressors/test_neural_network_regressor.py",
    "algorithms/regressors/test_vqr.py",
    "optimizers/test_optimizer_aqgd.py",
    "optimizers/test_spsa.py",
    "test_readme_sample.py",
)
# Failures that are no fault of ours, by a part of the test's name.
KNOWN = {
    "test_sampler_qnn": "needs the package sparse, an extra of qiskit-machine-learning",
    "test_readme_sample": "the source distribution has no README.md beside its tests",
}


def main() -> int:
    """Fetch the sources, run their tests, print what became of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sources", type=Path, help="an unpacked source distribution; by default it is downloaded")
    parser.add_argument("--files", nargs="*", default=FILES, help="test files, relative to the sources' test folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            sources = options.sources or _download(Path(folder))
        except (subprocess.CalledProcessError, OSError) as error:
            print(f"skipped: the sources of qiskit-machine-learning cannot be had from the package registry ({error})")
            return 0
        return _report(_run(sources, options.files, Path(folder) / "results.xml"))


def _download(folder: Path) -> Path:
    release = version("qiskit-machine-learning")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wanted = ["--no-binary", ":all:", "--no-deps", "--dest", str(folder), f"qiskit-machine-learning=={release}"]
    subprocess.run([*pip, "download", *wanted], check=True)
    subprocess.run([*pip, "install", "--target", str(folder / "libraries"), "ddt"], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return archive.with_name(archive.name.removesuffix(".tar.gz"))


def _run(sources: Path, files: tuple[str, ...], results: Path) -> ElementTree.Element:
    # Only the tests: the package itself is the installed one.
    tests = results.parent / "tests"
    tests.mkdir()
    (tests / "test").symlink_to((sources / "test").resolve())
    here = Path(__file__).resolve().parent.parent.parent
    paths = [str(tests), str(here), str(results.parent / "libraries"), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.peers.substitutes", "-p", "no:cacheprovider"]
    command += ["--rootdir", str(tests), "-c", os.devnull, f"--junitxml={results}"]
    command += [f"test/{name}" for name in files if (sources / "test" / name).exists()]
    subprocess.run(command, cwd=tests, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)}, check=False)
    return ElementTree.parse(results).getroot()


def _report(root: ElementTree.Element) -> int:
    counts: Counter[str] = Counter()
    unexplained = 0
    for case in root.iter("testcase"):
        name = f"{case.get('classname')}.{case.get('name')}"
        bad = next((case.find(kind) for kind in ("failure", "error") if case.find(kind) is not None), None)
        if bad is None:
            counts["skipped" if case.find("skipped") is not None else "passed"] += 1
            continue
        reason = next((why for part, why in KNOWN.items() if part in name), None)
        counts["failed, explained" if reason else "failed"] += 1
        unexplained += reason is None
        print(f"{name}\n    {reason or (bad.get('message') or '').splitlines()[0]}")
    print(", ".join(f"{count} {what}" for what, count in sorted(counts.items())))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())

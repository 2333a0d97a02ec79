"""The registry file: where it is looked for, what it may say, and what is refused when it is read."""

from pathlib import Path

import pytest

from qlam_qiskit.backends import load_registry
from qlam_qiskit.errors import ConfigurationError

MINIMAL = "default: {0}\nbackends: {{{0}: {{kind: exact}}}}\n"


@pytest.fixture
def no_registry_here(tmp_path, monkeypatch):
    monkeypatch.delenv("QLAM_BACKENDS", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _load(folder: Path, text: str):
    path = folder / "registry.yaml"
    path.write_text(text, encoding="utf-8")
    return load_registry(path)


def _entry(folder: Path, settings: str):
    return _load(folder, f"default: here\nbackends:\n  here: {settings}\n").spec()


def test_the_file_given_precedes_the_variable_the_folder_and_the_built_in_one(no_registry_here, monkeypatch):
    assert load_registry().default == "exact"
    assert "fake_torino" in load_registry().backends
    Path("backends.yaml").write_text(MINIMAL.format("local"), encoding="utf-8")
    assert load_registry().default == "local"
    Path("named.yaml").write_text(MINIMAL.format("named"), encoding="utf-8")
    monkeypatch.setenv("QLAM_BACKENDS", "named.yaml")
    assert load_registry().default == "named"
    Path("given.yaml").write_text(MINIMAL.format("given"), encoding="utf-8")
    assert load_registry(Path("given.yaml")).default == "given"


def test_a_file_that_was_named_and_is_missing_is_an_error(no_registry_here, monkeypatch):
    monkeypatch.setenv("QLAM_BACKENDS", "nowhere.yaml")
    with pytest.raises(ConfigurationError, match=r"nowhere\.yaml: no such file"):
        load_registry()


def test_an_unknown_backend_is_answered_with_the_names_there_are(tmp_path):
    registry = _load(tmp_path, "default: a\nbackends: {a: {kind: exact}, b: {kind: aer}}\n")
    with pytest.raises(ConfigurationError, match=r"no backend named 'c'.*there are: a, b"):
        registry.spec("c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("default: a\n", "backends: expected a mapping"),
        ("backends: {a: {kind: exact}}\n", "missing key default; one of: a"),
        ("default: b\nbackends: {a: {kind: exact}}\n", "no backend named 'b'; there are: a"),
        (
            "default: a\nextra: 1\nbackends: {a: {kind: exact}}\n",
            "unknown key extra; valid keys: backends, default",
        ),
        ("default: a\nbackends: {a: exact}\n", "backends.a: expected a mapping"),
        (
            "default: a\nbackends: {a: {shots: 3}}\n",
            "backends.a: missing key kind; kinds: exact, aer, fake, ibm, provider",
        ),
        (
            "default: a\nbackends: {a: {kind: qpu}}\n",
            "unknown kind 'qpu'; kinds: exact, aer, fake, ibm, provider",
        ),
        ("default: a\nbackends: {a: {kind: fake}}\n", "backends.a: missing key name"),
        ("default: a\nbackends: {a: [}\n", "not valid YAML"),
    ],
)
def test_a_faulty_file_is_an_error_that_names_the_fault(tmp_path, text, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        _load(tmp_path, text)
    assert "\n" not in str(raised.value)


def test_an_unknown_key_lists_the_keys_of_its_kind_as_the_file_spells_them(tmp_path):
    with pytest.raises(ConfigurationError) as raised:
        _entry(tmp_path, "{kind: fake, name: FakeTorino, shot: 10}")
    assert "unknown key shot for kind fake" in str(raised.value)
    keys = "gradient, kind, max_qpu_seconds, min_contrast, min_fidelity, name, seed, shots"
    assert f"valid keys: {keys}" in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{kind: aer, shots: 0}", "shots: .*greater than or equal to 1"),
        ("{kind: aer, shots: '10'}", "shots: .*valid integer"),
        ("{kind: aer, method: exact}", "method: "),
        ("{kind: exact, gradient: spsa}", "gradient: "),
        ("{kind: exact, precision: float16}", "precision: "),
        ("{kind: provider, factory: no_colon}", "factory: "),
        ("{kind: fake, name: FakeTorino, min_fidelity: 1.5}", "min_fidelity: "),
        ("{kind: ibm, name: x, limits: {executions: 0}}", "limits.executions: "),
        (
            "{kind: ibm, name: x, limits: {circuits: 3}}",
            "unknown key limits.circuits; valid keys: .*executions",
        ),
        ("{kind: ibm, name: x, max_execution_time: 20000}", "max_execution_time: "),
    ],
)
def test_a_value_out_of_range_is_named(tmp_path, settings, message):
    with pytest.raises(ConfigurationError, match=message):
        _entry(tmp_path, settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "{kind: ibm, name: x, fractional_gates: true, twirling: {gates: true}}",
            "fractional_gates .*twirling.gates",
        ),
        (
            "{kind: ibm, name: x, primitive: estimator, fractional_gates: true, pec: true}",
            "fractional_gates .*pec",
        ),
        (
            "{kind: ibm, name: x, primitive: estimator, fractional_gates: true, zne: true, zne_amplifier: pea}",
            "fractional_gates .*pea",
        ),
        ("{kind: ibm, name: x, mode: session, plan: open}", "open plan has no sessions"),
        ("{kind: ibm, name: x, primitive: estimator, zne: true, pec: true}", "zne and pec"),
        ("{kind: ibm, name: x, resilience_level: 1}", "resilience_level: only with primitive: estimator"),
    ],
)
def test_what_the_service_refuses_is_refused_when_the_file_is_read(tmp_path, settings, message):
    with pytest.raises(ConfigurationError, match=message):
        _entry(tmp_path, settings)


def test_an_entry_has_its_own_name_and_its_devices(tmp_path):
    spec = _entry(tmp_path, "{kind: ibm, name: ibm_boston, mode: batch, max_qpu_seconds: 120, min_fidelity: 0.3}")
    assert (spec.name, spec.device, spec.mode, spec.shots) == ("here", "ibm_boston", "batch", 4096)
    assert (spec.max_qpu_seconds, spec.min_fidelity) == (120, 0.3)


def test_noise_means_shots(tmp_path):
    assert _entry(tmp_path, "{kind: aer}").shots is None
    assert _entry(tmp_path, "{kind: aer, noise: FakeTorino}").shots == 1024
    assert _entry(tmp_path, "{kind: aer, noise: FakeTorino, shots: 5}").shots == 5


SECRET = "Zq3-fYlP0aXw_7BvKc9dTn5RmUe1GhJ2sLo4iNbA8tWx"


@pytest.mark.parametrize(
    "settings",
    [
        f"{{kind: ibm, name: ibm_boston, token: {SECRET}}}",
        f"{{kind: ibm, name: ibm_boston, apikey: {SECRET}}}",
        f"{{kind: ibm, name: ibm_boston, instance: {SECRET}}}",
        f"{{kind: provider, factory: 'a:b', options: {{auth: [{{API_KEY: '{SECRET}'}}]}}}}",
        f"{{kind: provider, factory: 'a:b', options: {{header: 'Bearer {SECRET}'}}}}",
        f"{{kind: provider, factory: 'a:b', options: {{{SECRET}: 1}}}}",
        f"{{kind: ibm, token: {SECRET}: [}}",
    ],
)
def test_a_credential_is_refused_and_never_repeated(tmp_path, settings):
    with pytest.raises(ConfigurationError, match="credentials do not belong in this file") as raised:
        _entry(tmp_path, settings)
    assert SECRET not in str(raised.value)
    assert raised.value.__cause__ is None


def test_how_long_a_command_looks_for_a_job_is_a_setting_of_the_entry(no_registry_here):
    assert _entry(no_registry_here, "{kind: ibm, name: ibm_boston}").lookup_seconds == 600
    assert _entry(no_registry_here, "{kind: ibm, name: ibm_boston, lookup_seconds: 30}").lookup_seconds == 30
    with pytest.raises(ConfigurationError, match=r"lookup_seconds: .*greater than or equal to 0"):
        _entry(no_registry_here, "{kind: ibm, name: ibm_boston, lookup_seconds: -1}")
    with pytest.raises(ConfigurationError, match="unknown key lookup_seconds for kind aer"):
        _entry(no_registry_here, "{kind: aer, lookup_seconds: 30}")

"""Configuration is checked at the edge: one line names the key and what is allowed."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from qlam_qiskit.configuration import Settings, check, override, read_yaml
from qlam_qiskit.errors import ConfigurationError, QlamError
from qlam_qiskit.plain_yaml import dump_yaml


class Fast(Settings):
    """One of two kinds of engine."""

    kind: Literal["fast"]
    speed: float = Field(1.0, gt=0)


class Slow(Settings):
    """The other kind."""

    kind: Literal["slow"]
    patience: int = Field(3, ge=1)


class Inner(Settings):
    """A section."""

    size: int = 4
    rate: float = 0.1
    name: str | None = None


class Outer(Settings):
    """The whole file."""

    inner: Inner = Inner()
    engine: Annotated[Fast | Slow, Field(discriminator="kind")] = Fast(kind="fast")
    times: list[int] = Field(default_factory=list)
    needed: int


def _fault(values):
    with pytest.raises(ConfigurationError) as error:
        check(Outer, values, "file.yaml")
    message = str(error.value)
    assert message.startswith("file.yaml: ")
    assert "\n" not in message
    return message.removeprefix("file.yaml: ")


def test_valid_values_become_frozen_settings():
    settings = check(Outer, {"needed": 1, "inner": {"rate": 2}, "engine": {"kind": "slow"}}, "file.yaml")
    assert (settings.inner.rate, settings.inner.size, settings.engine.patience) == (2.0, 4, 3)
    with pytest.raises(ValueError, match="frozen"):
        settings.needed = 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"need": 1, "needed": 1}, "unknown key need; valid keys: engine, inner, needed, times"),
        ({"needed": 1, "inner": {"sise": 1}}, "unknown key inner.sise; valid keys: name, rate, size"),
        ({"needed": 1, "engine": {"kind": "slow", "speed": 2}}, "unknown key engine.speed; valid keys: kind, patience"),
        ({}, "missing key needed"),
        ({"needed": "1"}, "needed: Input should be a valid integer (got '1')"),
        ({"needed": 1.5}, "needed: Input should be a valid integer"),
        ({"needed": True}, "needed: Input should be a valid integer (got True)"),
        ({"needed": None}, "needed: Input should be a valid integer (got None)"),
        ({"needed": 1, "inner": {"rate": float("nan")}}, "inner.rate: Input should be a finite number"),
        ({"needed": 1, "inner": 3}, "inner: expected a mapping of keys to values (got 3)"),
        ({"needed": 1, "times": [1, "x"]}, "times.1: Input should be a valid integer"),
        ({"needed": 1, "engine": {"kind": "fast", "speed": 0}}, "speed: Input should be greater than 0 (got 0)"),
    ],
)
def test_the_first_fault_is_said_in_one_line(values, message):
    assert message in _fault(values)


def test_an_unknown_kind_lists_the_known_ones():
    message = _fault({"needed": 1, "engine": {"kind": "medium"}})
    for word in ("engine", "'medium'", "'fast'", "'slow'"):
        assert word in message


def test_overrides_are_read_as_yaml_and_leave_the_original_alone():
    values = {"inner": {"size": 4}, "needed": 1}
    changed = override(values, ("inner.size=8", "inner.name=null", "engine.kind=slow", "times=[1, 2]", "needed=2"))
    assert values == {"inner": {"size": 4}, "needed": 1}
    assert changed == {
        "inner": {"size": 8, "name": None},
        "engine": {"kind": "slow"},
        "times": [1, 2],
        "needed": 2,
    }
    assert check(Outer, changed, "file.yaml").times == [1, 2]


def test_a_later_override_wins_and_a_value_may_hold_equals_signs():
    assert override({}, ("a=1", "a=2", "b=x=y")) == {"a": 2, "b": "x=y"}


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", "+1e-3", "0.001", ".1e-2"])
def test_numbers_in_scientific_notation_are_numbers(text, tmp_path):
    assert override({}, (f"rate={text}",)) == {"rate": 0.001}
    (tmp_path / "file.yaml").write_text(f"rate: {text}\n")
    assert read_yaml(tmp_path / "file.yaml") == {"rate": 0.001}


@pytest.mark.parametrize("text", ["1e", "e3", "1-3", "FakeTorino", "1e3x"])
def test_words_are_not_taken_for_numbers(text):
    assert override({}, (f"name={text}",)) == {"name": text}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("needed", "--set needed: expected key=value"),
        ("=3", "--set =3: expected key=value"),
        ("needed=[1", "--set needed=[1: the value is not valid YAML"),
        ("needed.deep=1", "--set needed.deep=1: needed is not a section"),
        ("inner.size.deep=1", "size is not a section"),
    ],
)
def test_a_faulty_override_is_quoted(assignment, message):
    with pytest.raises(ConfigurationError) as error:
        override({"needed": 1, "inner": {"size": 1}}, (assignment,))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: [1\nb: 2", "not valid YAML"),
        (b"- 1\n- 2", "expected a mapping"),
        (b"", "expected a mapping"),
        (b"just words", "expected a mapping"),
        (b"\xff\xfe\xfa", "cannot be read"),
        (b"a: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_named(tmp_path, content, message):
    file = tmp_path / "file.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError) as error:
        read_yaml(file)
    assert str(error.value).startswith(f"{file}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"none\.yaml: no such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_yaml(tmp_path)


def test_a_key_that_is_no_word_is_said(tmp_path):
    (tmp_path / "file.yaml").write_text(dump_yaml({1: 2, "needed": 1}))
    assert "1" in _fault(read_yaml(tmp_path / "file.yaml"))


def test_a_key_that_was_renamed_is_named_as_it_is_called_now(tmp_path):
    from qlam_qiskit.runs.experiments import load_experiment
    from qlam_qiskit.runs.run_folder import RunFolder

    path = tmp_path / "experiment.yaml"
    path.write_text("data: {dataset: digits}\nmodel: {heads: 2}\n")
    for read in (lambda: load_experiment(str(path)), lambda: RunFolder.open(tmp_path).experiment()):
        with pytest.raises(
            QlamError, match=r"experiment\.yaml: unknown key model\.heads: it is called model\.registers now"
        ):
            read()
    path.write_text("data: {dataset: digits}\nmodel: {kind: gru, heads: 2}\n")
    with pytest.raises(ConfigurationError, match=r"unknown key model\.heads; valid keys:"):
        load_experiment(str(path))

"""YAML by the rules of 1.2, bounded while it is read, with a line in every error; and written so that it reads back."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qlam_qiskit.backends import load_registry
from qlam_qiskit.compare.finding import load_comparison
from qlam_qiskit.configuration import override, read_yaml
from qlam_qiskit.errors import ConfigurationError
from qlam_qiskit.plain_yaml import MOST_CHARACTERS, MOST_LEVELS, MOST_VALUES, YAMLFault, dump_yaml, parse_yaml
from qlam_qiskit.runs.experiments import load_experiment

ROOT = Path(__file__).parent.parent
BACKENDS = "default: exact\nbackends:\n  exact: {kind: exact}\n"

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("020", 20),
        ("-007", -7),
        ("0o20", 16),
        ("0x1F", 31),
        ("1e-3", 0.001),
        (".5E1", 5.0),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("off", "off"),
        ("2024-01-01", "2024-01-01"),
        ("=", "="),
        ("-.inf", -math.inf),
        ("True", True),
        ("~", None),
        ('"020"', "020"),
    ],
)
def test_words_and_numbers_are_those_of_the_core_schema(text, value):
    found = parse_yaml(f"a: {text}")["a"]
    assert (found, type(found)) == (value, type(value))


def test_anchors_aliases_and_merge_keys_are_understood():
    found = parse_yaml(
        "base: &base {width: 32, kernel: 16}\nsame: *base\nother: {<<: *base, width: 8}\n"
        "list: {<<: [{a: 1}, {a: 2, b: 3}]}"
    )
    assert found["same"] == {"width": 32, "kernel": 16}
    assert found["other"] == {"width": 8, "kernel": 16}
    assert found["list"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' once more; line 1 has it already"),
        ("a:\n  - {b: 1,\n    b: 2}", "line 3: the key 'b' once more; line 2"),
        ("1: a\n1: b", "line 2: the key 1 once more"),
        ("a: 1\nb: 2024-13-45", "line 2: 2024-13-45 is no date"),
        ("a: 1\nb: !!int abc", "line 2: the tag"),
        ("!!python/object/apply:os.getcwd []", "line 1: the tag"),
        ("a: !!str 5", "line 1: the tag"),
        ("%YAML 1.1\n---\na: 020", "directives"),
        ("a: 1\n---\nb: 2", "line 2: a second document"),
        ("? [a]\n: 1", "a key is one word"),
        ("a: &a [*a]", "*a stands within what it stands for"),
        ("a: *b", "*b stands for nothing before it"),
        ("a: {<<: 3}", "<< takes a mapping"),
        (f"a: {'9' * 5000}", "a number of more than 3,000 digits"),
        ("a: [1\nb: 2", "line 2: "),
        ("a:\n\tb: 1", "line 2: "),
        ("a: 1\nb: 'open", "line 2: "),
        ('a: "\\U99999999"', "an escape"),
        ("a: 1\nb: \0", "line 2: the character U+0000"),
        ("a: \udcff", "line 1: the character U+DCFF"),
    ],
)
def test_a_fault_is_one_line_that_names_the_line(text, message):
    with pytest.raises(YAMLFault) as fault:
        parse_yaml(text)
    assert message in str(fault.value)
    assert str(fault.value).isprintable()


def _bomb(levels):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 3000, f"nested more than {MOST_LEVELS} levels"),
        ("{a: " * 3000, f"nested more than {MOST_LEVELS} levels"),
        ("- " * 3000, f"nested more than {MOST_LEVELS} levels"),
        (_bomb(9), f"more than {MOST_VALUES:,} keys and values"),
        ("- 1\n" * (MOST_VALUES + 1), f"more than {MOST_VALUES:,} keys and values"),
        ("a" * (MOST_CHARACTERS + 1), f"longer than {MOST_CHARACTERS:,} characters"),
        ("*" * 100_000, "line 1: "),
        ("&a " * 50_000, "line 1: "),
    ],
    ids=["brackets", "braces", "dashes", "aliases", "values", "characters", "stars", "anchors"],
)
def test_what_would_hang_or_fill_the_memory_is_refused_at_once(text, message):
    began = time.process_time()
    with pytest.raises(YAMLFault) as fault:
        parse_yaml(text)
    assert message in str(fault.value)
    assert len(str(fault.value)) < 400
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: 1\nb: é".encode("utf-16"), "line 1 is UTF-16; save the file as UTF-8"),
        (b"a: 1\nb: \xe9", "line 2 is no UTF-8"),
        (b"a: \x00", "not valid YAML: line 1: the character U+0000"),
        (b"\x00" * 2_000_000, "longer than"),
    ],
)
def test_a_file_in_another_encoding_is_said(tmp_path, content, message):
    (tmp_path / "file.yaml").write_bytes(content)
    with pytest.raises(ConfigurationError) as error:
        read_yaml(tmp_path / "file.yaml")
    assert message in str(error.value)
    assert str(error.value).isprintable()


def test_a_byte_order_mark_is_passed_over(tmp_path):
    (tmp_path / "file.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(tmp_path / "file.yaml") == {"a": 1}


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(_TEXT, _PLAIN, max_size=5))
def test_what_is_written_reads_back_the_same(values):
    assert parse_yaml(dump_yaml(values)) == values


@pytest.mark.parametrize(
    "word",
    ["020", "1e3", ".5e1", "null", "~", "<<", "=", "2024-13-45", "!a", "*b", "- c", "# d", "a: b", "", "0x1", "[/x]"],
)
def test_words_that_look_like_something_else_are_quoted(word):
    assert parse_yaml(dump_yaml({word: word})) == {word: word}


def test_two_backends_of_one_name_are_refused_with_both_lines(tmp_path, run):
    file = tmp_path / "backends.yaml"
    file.write_text(
        f"{BACKENDS}  heron: {{kind: ibm, name: ibm_x, max_qpu_seconds: 60}}\n  heron: {{kind: ibm, name: ibm_x}}\n"
    )
    with pytest.raises(ConfigurationError, match=r"line 5: the key 'heron' once more; line 4 has it already"):
        load_registry(file)
    status, out, err = run("backends", "list", "--backends", file)
    assert (status, out) == (2, "")
    assert err.startswith(f"Error: {file}: not valid YAML: line 5: ")


def test_a_doubled_key_that_is_a_credential_is_not_repeated(tmp_path):
    file = tmp_path / "backends.yaml"
    secret = "A" * 44
    file.write_text(f"{BACKENDS}{secret}: 1\n{secret}: 2\n")
    with pytest.raises(ConfigurationError, match="credentials do not belong") as error:
        load_registry(file)
    assert secret not in str(error.value)


def test_a_faulty_key_is_said_with_its_line(tmp_path):
    file = tmp_path / "e.yaml"
    file.write_text("data: {dataset: digits}\ntraining:\n  epochs: 3\n  batch: 4\n")
    with pytest.raises(ConfigurationError, match=r"unknown key training\.batch; valid keys: .* \(line 4\)$"):
        load_experiment(str(file))
    file.write_text("data: {dataset: digits}\ntraining:\n  epochs: 3.5\n")
    with pytest.raises(ConfigurationError, match=r"training\.epochs: .* \(got 3\.5\) \(line 3\)$"):
        load_experiment(str(file))
    # What the command line says stands in no line of the file.
    with pytest.raises(ConfigurationError, match=r"training\.epochs: .* \(got 0\)$"):
        load_experiment(str(file), ("training.epochs=0",))
    registry = tmp_path / "backends.yaml"
    registry.write_text(f"{BACKENDS}  a:\n    kind: aer\n    shot: 1\n")
    with pytest.raises(ConfigurationError, match=r"backends\.a: unknown key shot for kind aer; .* \(line 6\)$"):
        load_registry(registry)


def test_assignments_are_read_by_the_same_rules():
    assert override({}, ("a=020", "b=1e-3", "c=2024-01-01")) == {"a": 20, "b": 0.001, "c": "2024-01-01"}
    for text in ("a=!!int 3", "a=2024-13-45", "a=" + "[" * 3000, "a={b: 1, b: 2}", "a=\0"):
        with pytest.raises(ConfigurationError, match="the value is not valid YAML") as error:
            override({}, (text,))
        assert len(str(error.value)) < 400


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_that_ships_can_be_read(path):
    assert load_experiment(str(path)).description


@pytest.mark.parametrize(
    "path", sorted((ROOT / "results").glob("*/comparison.yaml")), ids=lambda path: path.parent.name
)
def test_written_comparisons_read_as_their_sources(path):
    source = load_comparison(str(ROOT / "experiments" / "comparisons" / f"{path.parent.name}.yaml"))
    then = load_comparison(str(path))
    assert {**then.model_dump(), "description": ""} == {**source.model_dump(), "description": ""}

"""The data section of an experiment: defaults, and one line for each mistake."""

import pytest

from qlam_qiskit.configuration import check
from qlam_qiskit.data import DataSettings
from qlam_qiskit.errors import ConfigurationError


def test_options_left_out_take_the_defaults_of_their_data_set_only():
    digits = DataSettings(dataset="digits")
    assert (digits.view, digits.permuted, digits.delay, digits.seed) == ("pixels", False, None, None)
    copying = DataSettings(dataset="copying", delay=50)
    assert (copying.delay, copying.symbols, copying.alphabet, copying.view) == (50, 5, 8, None)


@pytest.mark.parametrize(
    "given",
    [
        {"dataset": "mnist", "view": "patches", "patch": 7, "permuted": True, "train_limit": 100},
        {"dataset": "cifar10", "shift": 2, "flip": True},
        {"dataset": "recall", "pairs": 3, "keys": 5},
        {"dataset": "npz", "path": "mine.npz"},
    ],
)
def test_settings_survive_being_written_and_read_again(given):
    settings = DataSettings(**given)
    assert DataSettings(**settings.model_dump(mode="json")) == settings
    assert DataSettings(**settings.model_dump(mode="json", exclude_none=True)) == settings


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"dataset": "minst"}, "dataset: Input should be 'digits', 'mnist'"),
        ({"dataset": ["mnist"]}, "dataset: "),
        ({}, "missing key dataset"),
        ({"dataset": "mnist", "veiw": "rows"}, "unknown key veiw; valid keys: alphabet, dataset, delay"),
        ({"dataset": "mnist", "view": "columns"}, "view: Input should be 'pixels', 'rows' or 'patches'"),
        (
            {"dataset": "digits", "delay": 20},
            "delay is not an option of data set digits, whose options are view",
        ),
        ({"dataset": "copying", "permuted": False}, "permuted is not an option of data set copying"),
        ({"dataset": "mnist", "view": "patches"}, "needs patch"),
        ({"dataset": "mnist", "patch": 7}, "patch is an option of view patches, not of view pixels"),
        ({"dataset": "npz"}, "needs path"),
        ({"dataset": "recall", "pairs": 9}, "9 pairs need as many different keys, but keys is 8"),
        ({"dataset": "digits", "train_limit": 0}, "train_limit: Input should be greater than or equal to 1"),
        ({"dataset": "digits", "train_limit": "5"}, "train_limit: Input should be a valid integer"),
        ({"dataset": "digits", "permuted": 1}, "permuted: Input should be a valid boolean"),
        ({"dataset": "digits", "shift": 9}, "shift: Input should be less than or equal to 8"),
        ({"dataset": "copying", "flip": True}, "flip is not an option of data set copying"),
    ],
)
def test_what_does_not_fit_is_one_line_that_names_it(given, said):
    with pytest.raises(ConfigurationError) as caught:
        check(DataSettings, given, "mine.yaml")
    message = str(caught.value)
    assert said in message
    assert "\n" not in message
    assert message.startswith("mine.yaml: ")

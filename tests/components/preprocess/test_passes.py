"""What is passed on to Beam."""

import pytest

from components.preprocess.passes import runner_options
from hopline.config.preprocess import PreprocessConfig


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ((), []),
        (("--region=x",), ["--region=x"]),
        (("--direct_num_workers=2",), ["--direct_num_workers=2", "--direct_running_mode=multi_threading"]),
        (
            ("--direct_num_workers=2", "--direct_running_mode=multi_processing"),
            ["--direct_num_workers=2", "--direct_running_mode=multi_processing"],
        ),
    ],
)
def test_options_are_passed_on_and_several_workers_never_run_one_after_another(given, passed):
    assert runner_options(PreprocessConfig(runner_options=given)) == passed

"""Any command line ends with a documented exit code, a refusal is one line, and no file of the user is changed."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests import fuzzing

SETTINGS = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    fuzzing.build_workspace(folder)
    with fuzzing.without_training(folder):
        yield folder, fuzzing.fingerprint(folder)


def try_line(workspace, words):
    folder, before = workspace
    fuzzing.check_outcome(fuzzing.run_line(words))
    assert fuzzing.fingerprint(folder) == before


@settings(max_examples=60, derandomize=True, **SETTINGS)
@given(words=fuzzing.lines())
def test_any_command_line_ends_with_a_documented_code_and_at_most_one_line_of_error(workspace, words):
    try_line(workspace, words)


@pytest.mark.slow
@settings(max_examples=1000, **SETTINGS)
@given(words=fuzzing.lines())
def test_a_thousand_command_lines_end_with_a_documented_code_and_at_most_one_line_of_error(workspace, words):
    try_line(workspace, words)

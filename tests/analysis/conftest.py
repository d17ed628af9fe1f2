"""Two short runs, and the outputs of one of them."""

import pytest

import longtail
from longtail.analysis import RunOutputs


@pytest.fixture(scope="session")
def ecl_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "ecl"
    longtail.train("digits-lt", "ecl", out=path, epochs=3, threads=1)
    return path


@pytest.fixture(scope="session")
def ce_run(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "ce"
    longtail.train("digits-lt", "ce", out=path, epochs=1, threads=1)
    return path


@pytest.fixture(scope="session")
def ecl(ecl_run) -> RunOutputs:
    return RunOutputs.load(ecl_run)

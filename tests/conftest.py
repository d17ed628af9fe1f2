"""Shared by all tests: real data beside the checkout, where it is, Ctrl-C as a terminal gives it, and one device."""

import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, and what they start, ignore it


def pytest_configure(config: pytest.Config) -> None:
    """Tests compare with what one CPU gives, bit for bit; those of a GPU run by themselves, by `pytest -m gpu`."""
    os.environ["LONGTAIL_EMULATE_BF16"] = "1"  # a processor without bf16 instructions is slow, but must be right too
    if config.getoption("markexpr") != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if not hasattr(config, "workerinput"):  # the processes of pytest-xdist inherit the folder
        os.environ["LONGTAIL_CACHE"] = tempfile.mkdtemp(prefix="longtail-tests-")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the cached features of the tests."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ["LONGTAIL_CACHE"], ignore_errors=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data that some machines have beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real data of {SHARED}, which this machine has not")
    return SHARED


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Serve a stand-in of the Hugging Face hub, with an empty cache and no token."""
    from tests.hub_server import replace_hub  # loads huggingface_hub, which few tests need

    with replace_hub(tmp_path, monkeypatch) as served:
        yield served

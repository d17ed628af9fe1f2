"""Fixtures of the tests of data."""

import pytest

from tests.data.pictures import class_folders


@pytest.fixture
def folder(tmp_path):
    """Three classes with 12, 6 and 1 training images; the rarest has no test image."""
    class_folders(tmp_path / "set" / "train", {"class10": 1, "class9": 6, "apple": 12})
    class_folders(tmp_path / "set" / "test", {"apple": 2, "class9": 3}, first=100)
    return tmp_path / "set"

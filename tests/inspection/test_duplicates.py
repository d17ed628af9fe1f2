"""Equal images are found within and across subsets by content, and no others."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import longtail.inspection.duplicates
from longtail.data import LazyImages, TensorImages
from longtail.data.classes import RawSplitBuilder
from longtail.data.parquet import read_raw_split
from longtail.inspection.duplicates import Duplicates, find_duplicates


def list_files(folder, entries: list[tuple[str, int]]) -> LazyImages:
    """List files with labels."""
    builder = RawSplitBuilder()
    for name, _ in entries:
        builder.add(name, "any")
    return LazyImages(builder.build(folder).index, torch.tensor([label for _, label in entries]))


def test_equal_files_and_links_are_found_by_content(tmp_path):
    long = os.urandom(20_000)
    middle = bytearray(long)
    middle[10_000] ^= 1  # the same size and ends
    contents = {
        "a": b"one",
        "b": b"one",
        "c": b"two",
        "d": long,
        "e": bytes(middle),
        "f": long,
        "empty": b"",
        "void": b"",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    os.link(tmp_path / "c", tmp_path / "hard")
    os.symlink(tmp_path / "c", tmp_path / "soft")
    train = list_files(tmp_path, [(name, 0) for name in ("a", "b", "c", "d", "e", "empty", "gone")])
    test = list_files(tmp_path, [("f", 0), ("hard", 1), ("soft", 0), ("void", 0), ("gone2", 0), ("c", 0)])
    duplicates = find_duplicates({"train": train, "test": test})
    assert duplicates.count_within("train") == 1 and duplicates.count_within("test") == 2
    assert duplicates.find_leaks("test").tolist() == [7, 8, 9, 12]
    assert duplicates.find_train_copy(7) == 3 and duplicates.find_train_copy(9) == 2
    assert sorted(duplicates.find_conflicts().tolist()) == [2, 8, 9, 12]


def test_a_file_is_read_only_where_another_has_its_size(tmp_path, monkeypatch):
    for i in range(5):
        (tmp_path / str(i)).write_bytes(b"x" * (i + 1))
    (tmp_path / "5").write_bytes(b"yyy")
    read = []
    for name in ("hash_ends", "hash_file"):
        action = getattr(longtail.inspection.duplicates, name)
        monkeypatch.setattr(
            longtail.inspection.duplicates,
            name,
            lambda path, action=action: read.append(os.path.basename(path)) or action(path),
        )
    find_duplicates({"train": list_files(tmp_path, [(str(i), 0) for i in range(6)] * 3)})
    assert sorted(read) == ["2", "5"]


def test_images_in_memory_are_compared_by_their_pixels():
    images = torch.arange(4, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 2, 2).contiguous()
    train, test = (
        TensorImages(images[[0, 1, 1]], torch.tensor([0, 1, 1])),
        TensorImages(images[[2, 1]], torch.tensor([0, 0])),
    )
    duplicates = find_duplicates({"train": train, "test": test})
    assert (
        duplicates.count_within("train") == 1
        and duplicates.find_leaks("test").tolist() == [4]
        and duplicates.find_conflicts().tolist() == [1, 2, 4]
    )


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=30))
def test_duplicates_equal_those_of_loops(entries):
    content, subset, labels = (np.array(column) for column in zip(*entries, strict=True))
    duplicates = Duplicates(content.astype(np.uint64), subset, labels, ["train", "test"])
    in_train = {c for c, p, _ in entries if p == 0}
    assert duplicates.find_leaks("test").tolist() == [
        i for i, (c, p, _) in enumerate(entries) if p == 1 and c in in_train
    ]
    classes = {c: {y for d, _, y in entries if d == c} for c in range(5)}
    assert sorted(duplicates.find_conflicts()) == [i for i, (c, _, _) in enumerate(entries) if len(classes[c]) > 1]
    assert duplicates.count_within("train") == sum(p == 0 for _, p, _ in entries) - len(in_train)


def test_missing_images_of_parquet_rows_equal_no_other(tmp_path):
    images = pa.array([None, b"", b"one", b"one", None], pa.binary())
    pq.write_table(pa.table({"image": images, "label": [0, 1, 0, 0, 1]}), tmp_path / "a.parquet")
    duplicates = find_duplicates(
        {"train": LazyImages(read_raw_split([tmp_path / "a.parquet"]).index, torch.tensor([0, 1, 0, 0, 1]))}
    )
    assert duplicates.count_within("train") == 1 and not len(duplicates.find_conflicts())


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_files_without_permission_equal_no_other(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"same")
        (tmp_path / name).chmod(0)
    assert find_duplicates({"train": list_files(tmp_path, [("a", 0), ("b", 0)])}).count_within("train") == 0

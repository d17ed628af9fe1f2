"""Parquet files that claim too much or hold the wrong types, long numbers in names, and files that disappear: one line."""

import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail import LongtailError
from longtail.data import decode, folder, parquet_claims
from longtail.data.classes import natural_key
from longtail.data.custom import list_custom_data
from longtail.inference.images import find_images
from tests.data.pictures import class_folders, encoded, noise

PNG = encoded(noise())


def list_table(path, table: pa.Table, **how) -> None:
    pq.write_table(table, path / "a.parquet", **how)
    with pytest.raises(LongtailError) as error:
        list_custom_data(str(path / "a.parquet"))
    assert "\n" not in str(error.value) and "a.parquet" in str(error.value)
    raise error.value


def test_a_parquet_file_that_claims_rows_without_bytes_is_refused(tmp_path):
    rows = 3_000_000
    table = pa.table({"image": pa.nulls(rows, pa.binary()), "label": pa.nulls(rows, pa.int64())})
    with pytest.raises(LongtailError, match=r"claims 3,000,000 rows in [0-9,]+ bytes"):
        list_table(tmp_path, table)


def test_a_parquet_file_that_claims_bytes_without_bytes_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_claims, "FREE_BYTES", 1 << 20)
    table = pa.table({"image": [bytes(1 << 16) + b"%d" % i for i in range(64)], "label": [0] * 64})
    with pytest.raises(LongtailError, match=r"claims a group of 0\.0 GB in"):
        list_table(tmp_path, table, compression="zstd")


def test_small_images_in_a_large_parquet_file_are_listed(tmp_path):
    table = pa.table({"image": [PNG] * 2000, "label": np.arange(2000) % 3})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd")
    assert len(list_custom_data(str(tmp_path / "a.parquet")).subsets["train"]) == 2000


WRONG_TYPES = {
    "paths of whole numbers": [{"bytes": PNG, "path": 1}],
    "paths of bytes": [{"bytes": None, "path": b"a.png"}],
    "bytes of text": [{"bytes": "text", "path": "a.png"}],
    "bytes of whole numbers": [{"bytes": 7}],
    "no bytes": [{"path": "a.png"}],
    "numbers": [1.5],
    "lists": [[1, 2]],
}


@pytest.mark.parametrize("case", WRONG_TYPES)
def test_a_column_of_another_type_is_refused(tmp_path, case):
    with pytest.raises(LongtailError, match="column image"):
        list_table(tmp_path, pa.table({"image": WRONG_TYPES[case], "label": [0]}))


@pytest.mark.parametrize(
    "names", [[{"a": 1}, "b"], [1, 2], [None, "b"], [["a"], "b"], {"0": "a", "1": "b"}, "ab", ["", "b"], 7]
)
def test_class_names_that_are_not_text_are_refused(tmp_path, names):
    metadata = json.dumps({"info": {"features": {"label": {"names": names}}}})
    table = pa.table({"image": [PNG, PNG], "label": [0, 1]}).replace_schema_metadata({"huggingface": metadata})
    with pytest.raises(LongtailError, match="class names in its schema are not all text"):
        list_table(tmp_path, table)


@pytest.mark.parametrize(
    "metadata", ["[" * 100_000, "null", "7", "{", "\xff", '{"info": []}', '{"info": {"features": 3}}']
)
def test_metadata_without_class_names_is_ignored(tmp_path, metadata):
    table = pa.table({"image": [PNG, PNG], "label": [0, 1]}).replace_schema_metadata({"huggingface": metadata})
    pq.write_table(table, tmp_path / "a.parquet")
    assert list_custom_data(str(tmp_path / "a.parquet")).names == ["0", "1"]


def test_names_with_numbers_of_thousands_of_digits_are_sorted(tmp_path):
    names = ["1" + "0" * 5000, "9" * 5000, "9", "10", "a" + "7" * 4301, "a07", "a7", "a8"]
    ordered = ["9", "10", "9" * 5000, "1" + "0" * 5000, "a07", "a7", "a8", "a" + "7" * 4301]
    assert sorted(names, key=natural_key) == ordered
    table = tmp_path / "a.csv"
    table.write_text("path,label\n" + "".join(f"{i}.png,{name}\n" for i, name in enumerate(names)))
    assert list_custom_data(str(table)).names == ordered


def test_a_pipe_in_the_place_of_data_is_refused_at_once(tmp_path):
    for name in ("a.csv", "a.txt", "a.tsv", "a.lst", "a.parquet", "a.png", "folder"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(LongtailError, match="not a regular file"):
            list_custom_data(str(tmp_path / name))
        with pytest.raises(LongtailError, match="is a pipe, socket or device"):
            list(find_images([str(tmp_path / name)], []))
    (tmp_path / "set").mkdir()
    os.mkfifo(tmp_path / "set" / "train.parquet")
    with pytest.raises(LongtailError, match="not a regular file"):
        list_custom_data(str(tmp_path / "set"))


def test_a_folder_that_disappears_while_it_is_listed_is_one_line(tmp_path, monkeypatch):
    class_folders(tmp_path / "set", {"a": 2, "b": 2})
    listed = folder.list_folder

    def list_and_remove(path):
        entries = listed(path)
        if path.name == "a":  # after both class folders were found
            shutil.rmtree(tmp_path / "set" / "b")
        return entries

    monkeypatch.setattr(folder, "list_folder", list_and_remove)
    with pytest.raises(LongtailError, match="b cannot be read: No such file"):
        list_custom_data(str(tmp_path / "set"))


def test_an_image_that_disappears_while_it_is_read_is_named(tmp_path, monkeypatch):
    path = class_folders(tmp_path, {"a": 1}) / "a" / "0.png"

    def open_and_remove(source):
        path.unlink()
        raise ValueError("damaged")

    monkeypatch.setattr(decode.Image, "open", open_and_remove)
    with pytest.raises(decode.BadImage, match=r"0\.png: no such file"):
        decode.read_image(str(path), str(path))

"""Labels and paths of tables that are easily misread: missing or similar labels, names that stand twice, Windows paths."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail import LongtailError
from longtail.data.classes import natural_key
from longtail.data.custom import list_custom_data
from longtail.data.sources import list_data
from longtail.recipes import recipe_for
from tests.data.loading import load, shard
from tests.data.pictures import class_folders, encoded, noise


def write_table(path, labels, header="path,label"):
    """Write a table whose images are not read."""
    path.write_text("\n".join([header, *(f"{i}.png,{label}" for i, label in enumerate(labels))]))
    return str(path)


@pytest.mark.parametrize("word", ["nan", "NaN", "NA", "N/A", "None", "<NA>", "null", "NULL", "?"])
def test_a_class_that_may_be_a_missing_label_is_noted(word, tmp_path):
    class_folders(tmp_path / "folders", {"a": 1, word.replace("/", ""): 2})
    table = write_table(tmp_path / "a.csv", ["a", word, word])
    for data in (table, str(shard(tmp_path / "a.parquet", ["a", word, word])), str(tmp_path / "folders")):
        (note,) = list_custom_data(data).notes
        assert note.endswith("may stand for a missing label, and is a class here; if it is none, remove these images")
        assert "(2 images)" in note and (word in note or data.endswith("folders"))


@pytest.mark.parametrize("label", ["", "  "])
def test_an_empty_label_is_refused_in_every_table(label, tmp_path):
    with pytest.raises(LongtailError, match="line 3: the label is empty"):
        list_custom_data(write_table(tmp_path / "a.csv", ["a", label]))
    with pytest.raises(LongtailError, match="some labels are empty"):
        list_custom_data(str(shard(tmp_path / "a.parquet", ["a", label])))


def test_the_mark_of_hugging_face_for_no_label_is_named(tmp_path):
    names = {"huggingface": json.dumps({"info": {"features": {"label": {"names": ["cat", "dog"]}}}})}
    pq.write_table(
        pq.read_table(shard(tmp_path / "a.parquet", [0, -1])).replace_schema_metadata(names), tmp_path / "a.parquet"
    )
    with pytest.raises(LongtailError, match="label -1 means that an image has no label"):
        list_custom_data(str(tmp_path / "a.parquet"))


def test_names_that_differ_in_blanks_only_are_noted(tmp_path):
    table = write_table(tmp_path / "a.csv", ["cat", "cat ", " dog"])
    found = list_custom_data(table)
    assert found.names == ["cat", "dog"] and found.subsets["train"].labels.tolist() == [0, 0, 1]
    assert found.notes == [f"labels in {table} that differ only in blanks at their ends are one class: 'cat'"]
    class_folders(tmp_path / "set", {"cat": 1, "cat ": 1, "big cat": 1, "big  cat": 1})
    for data in (tmp_path / "set", shard(tmp_path / "a.parquet", ["cat", "cat ", "big cat", "big  cat"])):
        found = list_custom_data(str(data))
        assert len(found.names) == 4 and "kept apart: 'big  cat' and 'big cat', 'cat' and 'cat '" in found.notes[0]


@pytest.mark.parametrize(
    "header", ["path,label,label", "path,Label,label", "path,path,label", "path,label,split,split"]
)
def test_a_column_that_stands_twice_in_a_header_is_refused(header, tmp_path):
    twice = max(header.lower().split(","), key=header.lower().split(",").count)
    (tmp_path / "a.csv").write_text(f"{header}\n" + ",".join("x" * len(header.split(","))))
    with pytest.raises(LongtailError, match=f"names the column {twice} twice in its first line"):
        list_custom_data(str(tmp_path / "a.csv"))


@pytest.mark.parametrize("twice", ["image", "label", "split"])
def test_a_column_that_stands_twice_in_parquet_is_refused(twice, tmp_path):
    table = pq.read_table(shard(tmp_path / "a.parquet", ["a"], split=["train"]))
    pq.write_table(table.append_column(twice, table.column(twice)), tmp_path / "a.parquet")
    with pytest.raises(LongtailError, match=f"a.parquet has two columns named {twice}"):
        list_custom_data(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["cat", "dog", "cat"], "its schema names 1 classes twice: cat"),
        (["cat", {"name": "dog"}], "the class names in its schema are not all text"),
        (["cat", 3], "the class names in its schema are not all text"),
    ],
)
def test_class_names_of_a_schema_that_stand_twice_or_are_no_text_are_refused(names, message, tmp_path):
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": {"names": names}}}})}
    table = pq.read_table(shard(tmp_path / "a.parquet", [0, 1])).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(LongtailError, match=message):
        list_custom_data(str(tmp_path / "a.parquet"))


def test_paths_of_images_in_parquet_must_be_text(tmp_path):
    pq.write_table(
        pa.table({"image": [{"bytes": encoded(noise()), "path": 5}], "label": ["a"]}), tmp_path / "a.parquet"
    )
    with pytest.raises(LongtailError, match="the paths in column image are int64; they must be text"):
        list_custom_data(str(tmp_path / "a.parquet"))


def test_names_of_more_digits_than_python_converts_are_sorted_as_numbers():
    long = "9" * 5000
    assert sorted([f"a{long}", "a10", "a9", "a010", f"a1{long}"], key=natural_key) == [
        "a9",
        "a010",
        "a10",
        f"a{long}",
        f"a1{long}",
    ]


@pytest.mark.parametrize("kind", ["csv", "txt"])
def test_windows_paths_are_read_with_slashes_and_noted(kind, tmp_path):
    class_folders(tmp_path / "img", {"red one": 2, "blue": 2})
    rows = [(f"img\\{name}\\{i}.png", name.split()[0]) for name in ("red one", "blue") for i in range(2)]
    mark, header = {"csv": (",", ["path,label"]), "txt": (" ", [])}[kind]
    table = tmp_path / f"list.{kind}"
    table.write_text("\n".join(header + [mark.join(row) for row in rows]))
    split = load(table, test_share=0.5)
    assert split.classes.names == ("blue", "red") and split.classes.counts == (1, 1)
    assert split.notes == [f"the paths in {table} have backslashes, as on Windows, and are read with /"]
    table.write_text("\n".join([*header, mark.join(("C:\\img\\blue\\0.png", "blue"))]))
    with pytest.raises(
        LongtailError, match=r"C:\\img\\blue\\0.png has backslashes, as on Windows, and is not below .*--root"
    ):
        load(table)


def test_a_file_whose_name_has_a_backslash_is_read_as_it_is(tmp_path):
    (tmp_path / "a\\b.png").write_bytes(encoded(noise()))
    (tmp_path / "a.csv").write_text("path,label,split\na\\b.png,x,train\na\\b.png,x,test\n")
    assert not [note for note in load(tmp_path / "a.csv").notes if "backslashes" in note]


def test_an_unlabeled_test_table_beside_train_is_left_out_with_a_note(tmp_path):
    class_folders(tmp_path, {"a": 4, "b": 4})
    rows = [f"{name}/{i}.png,{name}" for name in "ab" for i in range(4)]
    (tmp_path / "train.csv").write_text("\n".join(["path,label", *rows]))
    (tmp_path / "test.csv").write_text("path\na/0.png\n")
    split = load(tmp_path / "train.csv", test_share=0.25)
    assert len(split.test) == 2 and "test.csv, beside" in split.notes[0] and "has no labels" in split.notes[0]
    with pytest.raises(LongtailError, match="has no column label"):
        load(tmp_path / "train.csv", test=str(tmp_path / "test.csv"))
    (tmp_path / "test.csv").write_text("path,label\na/0.png,\n")
    with pytest.raises(
        LongtailError, match=r"the label is empty. It is read because it is beside .*: rename it, or name"
    ):
        load(tmp_path / "train.csv")
    (tmp_path / "test.csv").rename(tmp_path / "testing.csv")
    assert "testing.csv, beside" in load(tmp_path / "train.csv", test_share=0.25).notes[0]


def test_rows_of_another_subset_in_a_named_table_are_noted(tmp_path):
    write_table(tmp_path / "a.csv", ["a", "b"])
    write_table(tmp_path / "all.csv", ["a,train", "b,test"], "path,label,split")
    found = load_listing(tmp_path / "a.csv", test=str(tmp_path / "all.csv"))
    assert len(found.subsets["test"]) == 1 and "only the test subset of" in found.notes[0]


def load_listing(path, **reading):
    """List custom data with options of reading."""
    from longtail.data import ReadOptions

    return list_custom_data(str(path), reading=ReadOptions(**reading))


def test_a_mistyped_path_is_said_to_be_missing(tmp_path, monkeypatch):
    (tmp_path / "plankton").mkdir()
    monkeypatch.chdir(tmp_path)
    for call in (recipe_for, lambda data: list_data(data, None, None)):
        with pytest.raises(LongtailError, match=r"No file or folder here is named planktn \(did you mean plankton\?\)"):
            call("planktn")

"""Custom images from tables, lists and parquet files: each gives the images of the folder; faults are named."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from longtail import LongtailError
from tests.data.loading import load
from tests.data.pictures import encoded, picture


@pytest.mark.parametrize("name", ["lists", "csv", "semicolons", "tsv", "split column", "parquet"])
def test_every_kind_of_file_gives_the_images_of_the_folder(name, folder):
    expected = load(folder)
    rows = {
        subset: [(p, p.parent.name) for p in sorted((folder / subset).glob("*/*.png"))] for subset in ("train", "test")
    }
    write = {
        "lists": lists,
        "csv": tables,
        "semicolons": tables,
        "tsv": tables,
        "split column": one_table,
        "parquet": shards,
    }
    loaded = load(write[name](folder, rows, name))
    assert loaded.classes == expected.classes
    for subset in ("train", "test"):
        a, b = loaded.subsets[subset], expected.subsets[subset]
        assert sorted(zip(a.labels.tolist(), a.images[:, 0, 0, 0].tolist(), strict=True)) == sorted(
            zip(b.labels.tolist(), b.images[:, 0, 0, 0].tolist(), strict=True)
        )


def lists(folder, rows, name):
    for subset, entries in rows.items():
        (folder / f"a_{subset}.txt").write_text(
            "\n".join(f"{p.relative_to(folder)} {label}" for p, label in entries) + "\n\n"
        )
    return folder / "a_train.txt"


def tables(folder, rows, name):
    mark, suffix = {"csv": (",", "csv"), "semicolons": (";", "csv"), "tsv": ("\t", "tsv")}[name]
    for subset, entries in rows.items():
        lines = [("label", "path"), *((label, str(p.relative_to(folder))) for p, label in entries)]
        (folder / f"{subset}.{suffix}").write_text("\ufeff" + "\n".join(mark.join(line) for line in lines), "utf-8")
    return folder / f"train.{suffix}"


def one_table(folder, rows, name):
    lines = [f"{p},{label},{subset.upper()}" for subset, entries in rows.items() for p, label in entries]
    (folder / "all.csv").write_text("\n".join(["Path,Label,Split", *lines]))
    return folder / "all.csv"


def shards(folder, rows, name):
    folder = folder / "shards"
    folder.mkdir()
    for subset, entries in rows.items():
        images = [{"bytes": p.read_bytes(), "path": p.name} for p, _ in entries]
        table = pa.table({"image": images, "label": [label for _, label in entries]})
        half = len(entries) // 2
        pq.write_table(table.slice(0, half), folder / f"{subset}-00000-of-00002.parquet", row_group_size=2)
        pq.write_table(table.slice(half), folder / f"{subset}-00001-of-00002.parquet", row_group_size=3)
    return folder


def test_parquet_labels_take_their_names_from_the_schema(tmp_path):
    names = json.dumps({"info": {"features": {"label": {"names": ["zebra", "ant", "unseen"]}}}})
    image = encoded(Image.new("RGB", (8, 8)))
    for subset, labels in {"train": [0, 1, 1], "test": [1]}.items():
        table = pa.table({"image": [image] * len(labels), "label": labels})
        pq.write_table(table.replace_schema_metadata({"huggingface": names}), tmp_path / f"{subset}.parquet")
    split = load(tmp_path / "train.parquet")
    assert split.classes.names == ("ant", "unseen", "zebra") and split.classes.counts == (2, 0, 1)
    pq.write_table(
        pa.table({"image": [image], "label": [3]}).replace_schema_metadata({"huggingface": names}),
        tmp_path / "test.parquet",
    )
    with pytest.raises(LongtailError, match=r"test.parquet: label 3 has no name; the schema names 3 classes"):
        load(tmp_path / "train.parquet")


WRONG = {
    "no header": ("a.csv", "x.png,cat\n", "has no column path and no column label"),
    "near header": ("a.csv", "path,lable\nx.png,cat\n", "names path,lable"),
    "a short line": ("a.csv", "path,label\nx.png\n", "line 2: 1 columns, but the header names 2"),
    "no label": ("a.csv", "path,label\nx.png,\n", "line 2: the label is empty"),
    "odd split": ("a.csv", "path,label,split\nx.png,cat,tset\n", "line 2: unknown split 'tset'; did you mean 'test'"),
    "zero bytes": ("a.csv", "path,label\nx\0.png,cat\n", "a.csv holds zero bytes, so it is not text in UTF-8"),
    "a list in UTF-16": ("a.txt", "x\0.\0p\0 \0001\0", "a.txt holds zero bytes, so it is not text in UTF-8"),
    "a label in Latin-1": ("a.csv", "path,label\nx.png,caf\xe9\n", r"holds 'caf.*', which is not text in UTF-8"),
    "no rows": ("a.csv", "path,label\n", "lists no images"),
    "list without label": ("a.txt", "x.png 0\ny.png\n", "line 2: expected 'path label'"),
    "no train": ("a.csv", "path,label,split\nx.png,cat,test\n", "has no train subset, only test"),
    "another kind": ("a.zip", "PK", "is neither a folder nor one of .csv"),
    "no parquet": ("a.parquet", "PAR", "is not a readable parquet file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_faulty_file_is_named_with_its_line(case, tmp_path):
    name, content, message = WRONG[case]
    (tmp_path / name).write_text(content, encoding="latin-1")
    with pytest.raises(LongtailError, match=message):
        load(tmp_path / name)


def test_parquet_may_hold_paths_beside_it_and_names_the_row_of_a_bad_image(tmp_path):
    picture(tmp_path / "a.png", 5)
    rows = [{"bytes": None, "path": "a.png"}, {"bytes": b"x", "path": "b.png"}, {"bytes": None, "path": None}]
    for subset in ("train", "test"):
        pq.write_table(pa.table({"image": rows, "label": ["cat"] * 3}), tmp_path / f"{subset}.parquet")
    with pytest.raises(
        LongtailError, match=r"4 of 6 .*train.parquet, row 1: not an image.*train.parquet, row 2: empty"
    ):
        load(tmp_path)
    assert load(tmp_path, skip_bad=True).train.images[:, 0, 0, 0].tolist() == [5]


def test_one_missing_image_of_several_does_not_ask_for_the_root(folder):
    (folder / "a.csv").write_text("path,label,split\ntrain/apple/0.png,apple,train\ntrain/apple/gone.png,apple,test\n")
    with pytest.raises(LongtailError, match=r"1 of 2 images of a cannot be read: .*no such file.* --skip-bad"):
        load(folder / "a.csv")


def test_images_that_are_not_where_listed_ask_for_the_root(folder):
    (folder / "a.csv").write_text("path,label,split\napple/0.png,apple,train\napple/1.png,apple,test\n")
    with pytest.raises(LongtailError, match=r"2 of 2 images of a are not where listed: .* Is --root right\?"):
        load(folder / "a.csv")
    assert len(load(folder / "a.csv", root=str(folder / "train")).train) == 1

"""A finished model in use: predictions from every kind of image, and export."""

import csv
import json
import os
import re

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from rich.cells import cell_len
from safetensors import safe_open
from safetensors.torch import load_file

import longtail
from longtail import LongtailError
from longtail.analysis.store import encode_csv
from longtail.api import train as train_model
from longtail.commands import app
from longtail.commands.predict import show_predictions
from longtail.data import TensorImages
from longtail.evaluate import compute_logits
from longtail.inference import images
from longtail.inference.predict import Prediction, open_table
from longtail.runs.spreadsheet import FORMULA, restore_cell


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Train a short run of two experts in half precision and return its folder."""
    out = tmp_path_factory.mktemp("use") / "run"
    train_model("digits-lt", "ecl", out=out, epochs=3, experts=2, precision="bf16", device="cpu")
    return out


@pytest.fixture(scope="module")
def model(run):
    return longtail.load(run, device="cpu")


@pytest.fixture(scope="module")
def digits():
    """Return some test images, (30, 3, 8, 8)."""
    test = longtail.data.load_split("digits-lt", 50.0).test
    assert isinstance(test, TensorImages)
    return test.images[::24]


@pytest.fixture
def folder(tmp_path, digits):
    """Make a folder of good and bad images, with blanks and Unicode in their paths."""
    folder = tmp_path / "my images é"
    (folder / "sub").mkdir(parents=True)
    for i, image in enumerate(digits):
        path = folder / ("sub" if i % 2 else "") / f"{i:02d}.png"
        Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)
    (folder / "sub" / "zero.png").touch()
    (folder / "sub" / "text.jpg").write_text("no image")
    (folder / ".DS_Store").touch()
    return folder


def command(*words: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        app.main(list(map(str, words)))
    return stop.value.code


def test_every_kind_of_image_gives_the_same_prediction(model, digits, tmp_path):
    pixels = digits[3].permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(tmp_path / "one.png")
    same = [digits[3], pixels, Image.fromarray(pixels), tmp_path / "one.png", str(tmp_path / "one.png")]
    first, *others = [model.predict(image) for image in same]
    assert all(other == first for other in others)
    together = model.predict(same)  # a larger batch rounds in another way
    assert [best.classes for best in together] == [first.classes] * 5 and model.predict([]) == []
    assert all(best.probabilities == pytest.approx(first.probabilities, abs=1e-4) for best in together)
    assert model.predict(digits)[3].classes == first.classes and len(model.predict(digits.numpy().swapaxes(1, 3))) == 30
    assert first.probabilities == tuple(sorted(first.probabilities, reverse=True)) and len(first.classes) == 5
    assert first.label == first.classes[0] and len(first.votes) == 2
    assert len(model.predict(digits[3], top=99).classes) == 10
    assert sum(model.predict(digits[3], top=10).probabilities) == pytest.approx(1)


class Column:
    """A column of a table as pandas has it: values by position, a length, a shape."""

    def __init__(self, values: list):
        self.values, self.shape = values, (len(values),)

    def __iter__(self):
        return iter(self.values)


def test_several_images_come_from_anything_that_a_notebook_has(model, digits, tmp_path):
    arrays = [image.permute(1, 2, 0).numpy() for image in digits[:3]]
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for array, path in zip(arrays, paths, strict=True):
        Image.fromarray(array).save(path)
    texts = list(map(str, paths))
    objects = np.empty(3, dtype=object)
    objects[:] = paths
    given = [
        *(
            paths,
            tuple(arrays),
            (path for path in paths),
            map(Image.open, texts),
            iter(arrays),
            np.array(texts),
            objects,
        ),
        *(Column(texts), digits[:3], np.stack(arrays)),
    ]
    expected = model.predict(texts)
    assert all(model.predict(images) == expected for images in given) and len(expected) == 3
    assert (
        model.predict(paths[0]) == model.predict(texts[0]) == model.predict(arrays[0]) and model.predict(iter([])) == []
    )


def test_a_table_in_place_of_its_column_is_refused(model):
    table = Column(["path"])
    table.columns = ["path"]
    with pytest.raises(LongtailError, match=r"name its column of paths, such as table\['path'\]"):
        model.predict(table)


@pytest.mark.parametrize("url", ["https://example.org/a.jpg", "s3://bucket/a.jpg"])
def test_a_url_is_refused_in_one_line_that_says_what_to_do(run, model, folder, url, capsys):
    with pytest.raises(
        LongtailError, match=r"a\.jpg is a URL, and images are read from files only; download the images"
    ):
        model.predict([url, url])
    (folder / "list.txt").write_text(f"00.png\n{url}\n")
    for given in (url, folder / "list.txt"):
        assert command("predict", run, given, "--out", folder.parent / "a.csv") == 2
        error = capsys.readouterr().err
        assert f"{url} is a URL" in error and error.count("\n") == 1 and not (folder.parent / "a.csv").exists()


def test_images_are_sorted_into_links_and_onto_a_page_beside_the_table(run, folder, capsys):
    out = folder.parent
    words = ["--out", out / "a.csv", "--sort-into", out / "sorted", "--gallery", out / "page.html"]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert command("predict", run, folder, *words) == 3
    lines = capsys.readouterr().out.splitlines()
    rows = {row["path"]: row["class_1"] for row in csv.DictReader((out / "a.csv").open())}
    links = {os.readlink(path): path.parent.name for path in (out / "sorted").glob("*/*")}
    assert links == rows and len(rows) == 30 and {path: path.read_bytes() for path in before} == before
    html = (out / "page.html").read_text()
    assert (
        html.count("<img ") == 30
        and "30 images by predicted class" in html
        and f"Predictions of {run.name} (ecl)" in html
    )
    assert lines == [
        f"{out}/a.csv: 30 images, class prior as trained (uniform)",
        f"{out}/sorted: links to 30 images in {len(set(rows.values()))} folders",
        f"{out}/page.html: 30 images, the least certain of each class first",
    ]
    for i, message in enumerate(("a.csv exists already", "sorted is not empty", "page.html exists already")):
        assert command("predict", run, folder, *words[2 * i : 2 * i + 2]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert (out / "page.html").read_text() == html


def test_without_a_readable_image_no_folder_and_no_page_appear(run, tmp_path, capsys):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").touch()
    words = ["--sort-into", tmp_path / "sorted", "--gallery", tmp_path / "page.html"]
    assert command("predict", run, tmp_path / "bad", *words) == 2
    assert "none of the 1 images can be read" in capsys.readouterr().err and len(list(tmp_path.iterdir())) == 1


def test_an_image_of_another_size_is_resized_to_the_training_size(model, digits):
    large = Image.fromarray(digits[0].permute(1, 2, 0).numpy()).resize((80, 80), Image.Resampling.NEAREST)
    assert model.predict(large).label == model.predict(digits[0]).label
    assert model.predict(np.asarray(large)) == model.predict(large)
    assert model.predict(torch.from_numpy(np.array(large)).permute(2, 0, 1)) == model.predict(large)


@pytest.mark.parametrize("given", [3, None, np.zeros((8, 8)), torch.zeros(3, 8, 8), np.zeros((8, 8, 4), np.uint8)])
def test_an_object_that_is_no_image_is_refused_and_the_error_lists_the_kinds_of_images(model, given):
    with pytest.raises(LongtailError, match="is no image: a path, a PIL image"):
        model.predict(given)


def test_exif_orientation_is_applied_to_files_and_open_images_and_reversed_arrays_are_accepted(model, tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (20, 12, 3), np.uint8)
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(array).save(tmp_path / "turned.png", exif=exif)
    by_file, opened = model.predict(tmp_path / "turned.png"), model.predict(Image.open(tmp_path / "turned.png"))
    assert by_file == opened != model.predict(array)
    assert model.predict(array[..., ::-1]) == model.predict(array[..., ::-1].copy())


def test_bad_input_raises_longtail_error_and_leaves_no_file(model, tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    closed = Image.open(tmp_path / "a.png")
    closed.close()
    for message, wrong in {
        "cannot be decoded": lambda: model.predict(closed),
        "no such file": lambda: model.predict("a\0b"),
        r"images are list .* expected torch.uint8": lambda: model.logits([1]),
        "unknown format 'tflite'": lambda: model.export("tflite", out=tmp_path / "a.tflite"),
    }.items():
        with pytest.raises(LongtailError, match=message):
            wrong()
    assert {p.name for p in tmp_path.iterdir()} == {"a.png"}


def test_a_folder_becomes_a_table_and_unreadable_images_are_named_with_exit_code_3(run, model, digits, folder, capsys):
    out = folder.parent / "found.csv"
    assert command("predict", run, folder, "--out", out, "--top", "2") == 3
    error = capsys.readouterr().err
    assert "zero.png: empty" in error and "text.jpg: not an image" in error and "2 images were left out" in error
    rows = list(csv.DictReader(out.open()))
    assert len(rows) == 30 and list(rows[0])[1:] == [
        *("class_1", "probability_1", "class_2", "probability_2", "expert_1", "expert_2", "prior")
    ]
    by_name = {row["path"].rsplit("/", 1)[1]: row for row in rows}
    expected = model.predict(digits, top=2)
    for i, best in enumerate(expected):
        row = by_name[f"{i:02d}.png"]
        assert (row["class_1"], row["expert_2"]) == (best.label, best.votes[1])
        assert float(row["probability_2"]) == pytest.approx(best.probabilities[1], abs=1e-4)
    assert {row["prior"] for row in rows} == {"as trained (uniform)"}
    before = out.read_bytes()
    assert command("predict", run, folder, "--out", out) == 2 and out.read_bytes() == before
    assert "exists already" in capsys.readouterr().err


def test_other_files_of_a_folder_are_skipped_and_counted(run, folder, tmp_path, capsys):
    for name in ("zero.png", "text.jpg"):
        (folder / "sub" / name).unlink()
    (folder / "notes.txt").write_text("seen at dawn")
    (folder / "00.png").rename(folder / "without extension")
    assert command("predict", run, folder, "--out", tmp_path / "a.csv") == 0
    printed = capsys.readouterr()
    assert "30 images" in printed.out
    assert printed.err == f"longtail: skipped 1 file that is no image, the first {folder}/notes.txt\n"


def test_lists_and_tables_of_paths_become_parquet_with_the_prior_recorded(run, model, digits, folder):
    (folder / "list.txt").write_text("00.png 4\nsub/01.png\n")
    (folder / "table.csv").write_text("label;path\n3;02.png\n")
    out = folder.parent / "found.parquet"
    words = [folder / "list.txt", folder / "table.csv", folder / "04.png", "--target-prior", "train"]
    assert command("predict", run, *words, "--out", out) == 0
    table = pq.read_table(out)
    assert [p.rsplit("/", 1)[1] for p in table["path"].to_pylist()] == ["00.png", "01.png", "02.png", "04.png"]
    assert set(table["prior"].to_pylist()) == {"train"} and table.schema.metadata[b"longtail"] == b"class prior: train"
    probabilities = torch.tensor(table["probability_1"].to_pylist())
    counts = torch.tensor(model.train_counts)
    expected = (model.logits(digits[[0, 1, 2, 4]]).mean(0) + counts.log()).softmax(-1).max(-1).values
    assert torch.allclose(probabilities, expected.to(probabilities.dtype), atol=1e-4)


@pytest.mark.parametrize("kind", ["list.txt", "labels.txt", "table.csv"])
def test_lists_made_on_windows_are_read_with_slashes(run, folder, kind, capsys):
    entries = ["00.png", "sub\\01.png", ".\\02.png"]
    text = "path\n" + "\n".join(entries) if kind == "table.csv" else "\n".join(entries)
    (folder / kind).write_text("\n".join(f"{entry} 3" for entry in entries) if kind == "labels.txt" else text)
    out = folder.parent / "found.parquet"
    assert command("predict", run, folder / kind, "--out", out) == 0
    assert [os.path.basename(p) for p in pq.read_table(out)["path"].to_pylist()] == ["00.png", "01.png", "02.png"]
    (folder / kind).write_text(text.replace("sub", "img").replace(".\\", "C:\\"))
    assert command("predict", run, folder / kind, "--out", folder.parent / "b.csv") == 2
    assert "img\\01.png has backslashes, as on Windows, and is not below" in capsys.readouterr().err


def test_a_file_whose_name_has_a_backslash_is_predicted_as_it_is(run, folder):
    (folder / "00.png").rename(folder / "a\\b.png")
    (folder / "list.txt").write_text("a\\b.png\n")
    assert command("predict", run, folder / "list.txt", "--out", folder.parent / "a.csv") == 0


def test_images_are_read_a_batch_at_a_time(run, model, folder, monkeypatch):
    monkeypatch.setattr(images, "BATCH", 4)
    sizes = [
        len(images)
        for _, images, _ in images.decode_batches(images.find_images([str(folder)], []), model.transform_set)
    ]
    assert sum(sizes) == 30 and max(sizes) <= 4
    assert command("predict", run, folder, "--out", folder.parent / "a.csv") == 3
    assert len((folder.parent / "a.csv").read_text().splitlines()) == 31


def test_the_terminal_shows_the_first_twenty_images(run, folder, capsys):
    assert command("predict", run, folder) == 0  # the unreadable images come later
    text = capsys.readouterr().out
    assert "only the first 20 images" in text and "as trained (uniform)" in text


@pytest.mark.parametrize("width", [60, 80, 200])
def test_each_prediction_takes_one_line_however_long_its_path_is(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    best = Prediction(("[red]wolf\nof the north" * 3, "owl"), (0.9, 0.1), ("[red]wolf\nof the north" * 3, "owl"))
    predictions = [(f"/data/{'deep/' * 30}🦊{i}.png", best) for i in range(3)]
    for terminal in ("1", "0"):
        monkeypatch.setenv("TTY_COMPATIBLE", terminal)
        show_predictions(predictions, "uniform")
        lines = [line for line in re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out).splitlines() if line.strip()]
        assert len(lines) == 2 + 3 + 1, "head, rule, rows, prior"
        assert all(f"{i}.png" in line and "[r" in line and "90.0 %" in line for i, line in enumerate(lines[2:5]))
        if terminal == "1":
            assert all(cell_len(line) <= width for line in lines)
        else:
            assert predictions[0][0] in lines[2]


WRONG = {
    "no images": ((), "name the images"),
    "a missing path": (("/nowhere",), "/nowhere is not there"),
    "zero classes": (("--top", "0", "."), "--top is 0"),
    "another kind of file": ((".", "--out", "x.json"), "must end in .csv or .parquet"),
    "no such prior": ((".", "--target-prior", "ones"), "neither uniform nor train nor a file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_bad_arguments_are_one_line(run, folder, case, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    words, message = WRONG[case]
    assert command("predict", run, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_folder_without_readable_images_leaves_no_table(run, tmp_path, capsys):
    (tmp_path / "none").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").touch()
    for name, message in (("none", "holds no images"), ("bad", "none of the 1 images can be read")):
        assert command("predict", run, tmp_path / name, "--out", tmp_path / "out.csv") == 2
        assert message in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} == {"none", "bad"}


MISSING = {
    "a missing file": ("nothere.png",),
    "a missing folder": ("no/where",),
    "an empty folder": ("empty",),
    "a missing list": ("nothere.txt",),
    "an empty list": ("empty.txt",),
    "a table without paths": ("wrong.csv",),
    "a table that breaks off later": ("late.csv",),
    "the home of an unknown user": ("~nosuch/a.png",),
}


@pytest.mark.parametrize("shown", [False, True])
@pytest.mark.parametrize("case", MISSING)
def test_every_path_is_checked_before_the_first_image_is_read(run, folder, case, shown, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    (folder / "empty").mkdir()
    (folder / "empty.txt").touch()
    (folder / "wrong.csv").write_text("file,label\na.png,3\n")
    (folder / "late.csv").write_text("path\n" + "00.png\n" * 5 + "x" * 200_000 + "\n")  # above the csv field limit
    read = []
    monkeypatch.setattr(images, "build_eval_transform", lambda *_: read.append(1))
    if shown and case == "a table that breaks off later":
        pytest.skip("the terminal shows the first images only")
    out = [] if shown else ["--out", folder.parent / "out.csv"]
    assert command("predict", run, "sub", "04.png", *MISSING[case], "06.png", *out) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and MISSING[case][0].split("/")[0] in error
    assert not read and not (folder.parent / "out.csv").exists()


TEXTS = [
    "=1+1",
    "+1",
    "-1",
    "@A1",
    "\tx",
    "\rx",
    "'=1",
    "''-x",
    "'s-Hertogenbosch",
    "plain",
    "a=b",
    "",
    "'",
    "\N{FULLWIDTH EQUALS SIGN}1",
]


@pytest.mark.parametrize("text", TEXTS)
def test_no_cell_of_a_csv_is_a_formula_and_every_text_is_restored(text, tmp_path):
    with open_table(tmp_path / "a.csv", "") as add:
        add({"path": text, "class_1": text, "probability_1": -0.5})
    with (tmp_path / "a.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (
        not row["path"].startswith(("=", "+", "-", "@", "\t", "\r", "\N{FULLWIDTH EQUALS SIGN}"))
        and row["class_1"] == row["path"]
    )
    assert restore_cell(row["path"]) == text and row["probability_1"] == "-0.5"
    assert row["path"] == text or FORMULA.match(text)  # other texts are as they were
    with open_table(tmp_path / "a.parquet", "") as add:
        add({"path": text})
    assert pq.read_table(tmp_path / "a.parquet")["path"].to_pylist() == [text]


def test_the_numbers_of_a_figure_hold_no_formula_but_negative_numbers():
    panels = {"=run": {"name": np.array(["=cmd|' /C calc'!A0", "cat"]), "value": np.array([-1.5, 2.0])}}
    assert encode_csv(panels | {"b": panels["=run"]}).decode().splitlines()[1:3] == [
        "'=run,'=cmd|' /C calc'!A0,-1.5",
        "'=run,cat,2.0",
    ]


@pytest.mark.parametrize("words, expert", [((), None), (("--expert", "2"), 1)])
def test_onnx_gives_our_logits_for_any_number_of_images_and_any_prior(
    run, model, digits, tmp_path, words, expert, capsys
):
    out = tmp_path / "model.onnx"
    assert command("export", run, "--out", out, *words) == 0
    assert "largest difference of a logit" in capsys.readouterr().out
    session = onnxruntime.InferenceSession(out)
    model.method.encoders.apply(lambda module: setattr(module, "half", False))  # the export is in float32
    z = compute_logits(model.method, digits, model.transform_set)
    z = z.mean(0) if expert is None else z[expert]
    log_prior = torch.randn(10)
    for n in (1, 30):
        logits, probabilities = session.run(None, {"images": digits[:n].numpy(), "log_prior": log_prior.numpy()})
        assert np.allclose(logits, z[:n] + log_prior, atol=1e-3)  # the logits of ECL assume a uniform prior
        assert np.allclose(probabilities, (z[:n] + log_prior).softmax(-1), atol=1e-4)
    metadata = {
        entry.key: json.loads(entry.value) for entry in onnx.load(out).metadata_props if "longtail" in entry.key
    }
    assert metadata["longtail.classes"] == model.classes and metadata["longtail.train_counts"] == model.train_counts
    assert metadata["longtail.method"] == "ecl" and metadata["longtail.log_prior_as_trained"] == [0.0] * 10
    assert command("export", run, "--out", out) == 2 and "exists already" in capsys.readouterr().err


def test_safetensors_hold_the_weights_and_one_expert_loads_as_a_model_with_one(run, model, digits, tmp_path):
    assert command("export", run, "--format", "safetensors", "--out", tmp_path / "all.safetensors") == 0
    trained = load_file(run / "model.safetensors")
    whole = load_file(tmp_path / "all.safetensors")
    assert whole.keys() == trained.keys() and all(torch.equal(whole[k], trained[k]) for k in trained)
    words = ["--format", "safetensors", "--expert", "2", "--out", tmp_path / "two.safetensors"]
    assert command("export", run, *words) == 0
    single = model.recipe.change(experts=1).build_method(model.train_counts).eval()
    assert not single.load_state_dict(load_file(tmp_path / "two.safetensors"), strict=False).unexpected_keys
    model.method.encoders.apply(lambda module: setattr(module, "half", True))
    assert torch.allclose(compute_logits(single, digits, model.transform_set)[0], model.logits(digits)[1], atol=1e-5)
    with safe_open(tmp_path / "two.safetensors", "pt") as file:
        assert json.loads(file.metadata()["classes"]) == model.classes and file.metadata()["expert"] == "1"


def test_export_names_the_experts_and_the_missing_package(run, capsys, monkeypatch, tmp_path):
    assert command("export", run, "--expert", "3") == 2
    assert "has experts 1 to 2" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    assert command("export", run, "--out", tmp_path / "m.onnx") == 2
    assert "pip install 'longtail[export]'" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_an_expert_is_named_by_a_number_from_zero_in_python(run, tmp_path):
    for expert in (2, -1, "1"):
        with pytest.raises(LongtailError, match="has experts 0 to 1, and None is their ensemble"):
            longtail.load(run).export("safetensors", expert, tmp_path / "x.safetensors")


def test_outputs_of_one_path_are_refused_before_images_are_read(run, tmp_path, capsys):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    out = tmp_path / "found.csv"
    assert command("predict", run, tmp_path / "a.png", "--out", out, "--sort-into", out) == 2
    assert "name the same path" in capsys.readouterr().err and not out.exists()
    assert command("predict", run, "") == 2 and "is empty" in capsys.readouterr().err


def test_a_model_that_differs_from_pytorch_is_not_kept(run, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("longtail.inference.export.TOLERANCE", -1.0)
    assert command("export", run, "--out", tmp_path / "m.onnx") == 2
    assert "no file was written" in capsys.readouterr().err and not list(tmp_path.iterdir())

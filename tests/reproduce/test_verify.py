"""Every number of a cell follows from its predictions and the published labels; what does not is refused in one line."""

import json
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from longtail.commands.app import main
from longtail.metrics import summarize
from longtail.reproduce import Ledger, build_cells, reproduce
from longtail.reproduce.ledger import compute_digest
from longtail.reproduce.rows import Row, Setting, Table
from longtail.reproduce.verify import build_logits
from longtail.tracking import SilentReport

TABLE = Table(
    "one cell", (Setting("", {"data": "digits-lt", "epochs": 1}, {}),), (Row("ecl", {"method": "ecl"}),), seeds=1
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    ledger = Ledger(tmp_path_factory.mktemp("ledger"))
    reproduce(build_cells(TABLE), ledger, SilentReport(), threads=1, device="cpu", say=lambda text: None)
    return ledger


@pytest.fixture
def ledger(trained, tmp_path):
    shutil.copytree(trained.path, tmp_path / "ledger")
    return Ledger(tmp_path / "ledger")


def run(ledger: Ledger, *words: str) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", "verify", *words, "--ledger", str(ledger.path)])
    return stop.value.code


def change_predictions(ledger: Ledger, name: str, change) -> None:
    (path,) = (ledger.path / "runs").glob("*/predictions.parquet")
    table = pq.read_table(path)
    values = change(np.array(table[name].to_pylist()))
    at = table.column_names.index(name)
    pq.write_table(table.set_column(at, name, pa.array(values.tolist(), table.schema.field(name).type)), path)


def change_cell(ledger: Ledger, change) -> None:
    (path,) = ledger.path.glob("*.json")
    kept = json.loads(path.read_text())
    change(kept)
    kept["sha256"] = compute_digest(kept)  # as a forger would
    path.write_text(json.dumps(kept))


def test_all_numbers_of_a_cell_follow_from_its_predictions(ledger, capsys):
    assert not run(ledger, "full-digits")
    shown = capsys.readouterr().out
    assert "28 numbers agree" in shown and "expert 3" in shown


def test_attached_predictions_replace_the_run_folder_and_hold_no_file_names(ledger, capsys):
    assert not run(ledger, "full-digits", "--attach")
    shutil.rmtree(ledger.path / "runs")
    assert not run(ledger, "full-digits")
    (path,) = (ledger.path / "predictions").glob("*.parquet")
    assert pq.read_table(path).column_names == [
        *("label", "predicted", "confidence", "experts_predicted", "experts_confidence")
    ]


def test_a_submission_unpacks_into_a_ledger_that_verifies(ledger, tmp_path, capsys):
    assert not run(ledger, "full-digits", "--submit", str(tmp_path / "cell.zip"))
    with zipfile.ZipFile(tmp_path / "cell.zip") as archive:
        archive.extractall(tmp_path / "other")
    assert not run(Ledger(tmp_path / "other"), "full-digits")
    assert run(ledger, "full-digits", "--submit", str(tmp_path / "cell.zip")) == 2
    assert "choose another --submit" in capsys.readouterr().err


def raise_top1(kept):
    kept["results"]["plain"]["ensemble"]["top1"] += 0.1


def raise_few(kept):
    kept["results"]["plain"]["experts"][1]["few"] += 1


def swap_recipe(kept):
    kept["recipe"]["epochs"] = 200


FORGERIES = {
    "a better number": (lambda ledger: change_cell(ledger, raise_top1), "reports top1"),
    "a better number of an expert": (lambda ledger: change_cell(ledger, raise_few), "reports few"),
    "another recipe": (lambda ledger: change_cell(ledger, swap_recipe), "holds another recipe than its name says"),
    "better predictions": (
        lambda ledger: change_predictions(ledger, "predicted", lambda values: values * 0),
        "but its predictions give",
    ),
    "other confidences": (
        lambda ledger: change_predictions(ledger, "confidence", lambda values: values**0.5),
        "reports ece",
    ),
    "easier labels": (
        lambda ledger: change_predictions(ledger, "label", lambda values: np.where(values == 9, 8, values)),
        "is not the published one",
    ),
    "fewer images": (
        lambda ledger: [pq.write_table(pq.read_table(p)[:600], p) for p in ledger.path.glob("runs/*/*.parquet")],
        "has 600 images, digits-lt 700 test images",
    ),
    "no predictions": (lambda ledger: shutil.rmtree(ledger.path / "runs"), "holds no predictions of"),
    "damaged predictions": (
        lambda ledger: [p.write_bytes(b"no") for p in ledger.path.glob("runs/*/*.parquet")],
        "is not as longtail wrote it",
    ),
    "a cell without its digest": (
        lambda ledger: [p.write_text(p.read_text().replace("ecl", "bcl")) for p in ledger.path.glob("*.json")],
        "is not as it was written",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_refused_in_one_line(forgery, ledger, capsys):
    forge, line = FORGERIES[forgery]
    forge(ledger)
    assert run(ledger, "full-digits") == 2
    error = capsys.readouterr().err
    assert line in " ".join(error.split()) and error.count("longtail: error") == 1 and "Traceback" not in error


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "name a cell"),
        (("nothing",), "holds no cell whose name begins with 'nothing'"),
        (("full", "--scale", "frozen"), "does not take --scale"),
    ],
)
def test_a_missing_cell_and_flags_that_do_nothing_are_refused(words, line, ledger, capsys):
    assert run(ledger, *words) == 2
    assert line in " ".join(capsys.readouterr().err.split())


def test_logits_built_from_class_and_confidence_have_the_metrics_of_the_true_ones():
    torch.manual_seed(0)
    logits, labels, counts = 3 * torch.randn(500, 7), torch.randint(7, (500,)), (200, 150, 90, 50, 20, 10, 5)
    built = build_logits(logits.argmax(-1), logits.softmax(-1).amax(-1), 7)
    assert summarize(built, labels, counts) == pytest.approx(summarize(logits, labels, counts), abs=1e-3)

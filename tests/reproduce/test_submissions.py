"""A submitted cell enters a ledger only after its numbers were computed again, and stands beside ours on the page."""

import io
import json
import shutil
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from longtail.commands.app import main
from longtail.reproduce import Ledger, build_cells, reproduce
from longtail.reproduce.ledger import compute_digest
from longtail.reproduce.rows import Row, Setting, Table
from longtail.tracking import SilentReport

TABLE = Table(
    "", (Setting("", {"data": "digits-lt", "epochs": 1}, {}),), (Row("bc", {"method": "bc", "tau": 0.5}),), seeds=1
)


def run(*words: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        main(["reproduce", *map(str, words)])
    return stop.value.code


@pytest.fixture(scope="module")
def ledger(tmp_path_factory):
    ledger = Ledger(tmp_path_factory.mktemp("sender"))
    reproduce(build_cells(TABLE), ledger, SilentReport(), threads=1, device="cpu", say=lambda text: None)
    return ledger


@pytest.fixture(scope="module")
def submission(ledger, tmp_path_factory):
    path = tmp_path_factory.mktemp("mail") / "cell.zip"
    assert not run("verify", "full-digits", "--ledger", ledger.path, "--submit", path)
    return path


def rewrite(source, target, change) -> None:
    """Copy a zip file; `change` takes and returns a dict of contents by name."""
    with zipfile.ZipFile(source) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in change(contents).items():
            archive.writestr(name, content)


def test_an_accepted_cell_stands_on_the_page_with_its_sender_and_our_number(ledger, submission, tmp_path, capsys):
    assert not run("accept", submission, "--by", "Jane Doe", "--ledger", tmp_path)
    assert run("accept", submission, "--by", "Jane Doe", "--ledger", tmp_path) == 2
    assert "Jane Doe has submitted this cell already" in " ".join(capsys.readouterr().err.split())
    for path in ledger.path.glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert not run("all", "--show", "--ledger", tmp_path)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "Jane Doe" in line)
    run_name, reported, ours, by, seeds, marks = (field.strip() for field in line.strip("|").split("|"))
    (kept,) = (json.loads(path.read_text())["results"]["plain"]["ensemble"] for path in tmp_path.glob("*.json"))
    assert run_name == "bc (tau 0.5), digits-lt, imbalance 50, `full`"
    assert reported == ours == f"{kept['top1']:.1f} / {kept['few']:.1f} / {kept['ece']:.1f}"
    assert (by, seeds) == ("Jane Doe", "1") and "last of 1 epochs, lr 0.2, wd 0.0005; 1 network at test" in marks


def raise_top1(contents):
    (name,) = (name for name in contents if name.endswith(".json"))
    kept = json.loads(contents[name])
    kept["results"]["plain"]["ensemble"]["top1"] += 1
    kept["sha256"] = compute_digest(kept)  # as a forger would
    return contents | {name: json.dumps(kept).encode()}


def use_code_of_a_stranger(contents):
    (name,) = (name for name in contents if name.endswith(".json"))
    kept = json.loads(contents[name])
    kept["recipe"]["method"] = "stranger:Method"
    kept["sha256"] = compute_digest(kept)
    return contents | {name: json.dumps(kept).encode()}


def predict_no_class(contents):
    (name,) = (name for name in contents if name.endswith(".parquet"))
    table = pq.read_table(io.BytesIO(contents[name]))
    place = table.column_names.index("predicted")
    table = table.set_column(place, "predicted", pa.array([10] * len(table)))
    content = io.BytesIO()
    pq.write_table(table, content)
    return contents | {name: content.getvalue()}


REFUSED = {
    "code of a stranger": (use_code_of_a_stranger, "has method stranger:Method, which is not of this package"),
    "predictions of no class": (predict_no_class, "is not as longtail wrote it"),
    "a forged number": (raise_top1, "reports top1"),
    "a file beside the cell": (lambda contents: contents | {"more.txt": b""}, "must hold CELL.json and predictions"),
    "a path that leaves the folder": (
        lambda contents: {f"../{name}": content for name, content in contents.items()},
        "must hold CELL.json and predictions",
    ),
    "a bomb": (
        lambda contents: {name: bytes(40 * 2**20) for name in contents},
        "unpacks to more than 64 MB",
    ),
    "an empty archive": (lambda contents: {}, "must hold CELL.json and predictions"),
}


@pytest.mark.parametrize("fault", REFUSED)
def test_a_faulty_submission_is_refused_in_one_line_and_leaves_nothing(fault, submission, tmp_path, capsys):
    change, words = REFUSED[fault]
    rewrite(submission, tmp_path / "sent.zip", change)
    assert run("accept", tmp_path / "sent.zip", "--by", "Mallory", "--ledger", tmp_path / "ledger") == 2
    error = capsys.readouterr().err
    assert words in " ".join(error.split()) and error.count("longtail: error") == 1
    assert not [path for path in (tmp_path / "ledger").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("accept",), "name the submitted file and who sent it"),
        (("accept", "{zip}", "--by", "../x"), "cannot name who sent it"),
        (("accept", "{zip}", "--by", "longtail"), "cannot name who sent it"),
        (("accept", "{zip}", "--by", "A", "--attach"), "does not take --attach"),
        (("verify", "full", "--by", "A"), "does not take --by"),
        (("accept", "nothing.zip", "--by", "A"), "nothing.zip"),
    ],
)
def test_what_is_missing_or_does_nothing_is_refused(words, line, submission, tmp_path, capsys):
    words = [word.format(zip=submission) for word in words]
    assert run(*words, "--ledger", tmp_path) == 2
    error = capsys.readouterr().err
    assert line in " ".join(error.split()) and "Traceback" not in error


def test_a_damaged_archive_is_refused_wherever_the_damage_is(submission, tmp_path, capsys):
    rewrite(submission, tmp_path / "sound.zip", lambda contents: contents)
    sound = (tmp_path / "sound.zip").read_bytes()
    for place in range(0, len(sound), max(len(sound) // 60, 1)):
        (tmp_path / "sent.zip").write_bytes(sound[:place] + bytes([sound[place] ^ 255]) + sound[place + 1 :])
        if code := run("accept", tmp_path / "sent.zip", "--by", "A", "--ledger", tmp_path / "ledger"):
            error = capsys.readouterr().err
            assert code == 2 and error.count("longtail: error") == 1 and "Traceback" not in error
        else:  # a byte that no reader uses, such as a date
            shutil.rmtree(tmp_path / "ledger")


def test_a_file_that_is_no_archive_is_refused(tmp_path, capsys):
    (tmp_path / "cell.zip").write_bytes(b"no archive")
    assert run("accept", tmp_path / "cell.zip", "--by", "A", "--ledger", tmp_path) == 2
    assert "cell.zip" in capsys.readouterr().err

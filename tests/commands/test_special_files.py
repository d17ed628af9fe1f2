"""A FIFO, socket or device as any output, and as a file of a ledger, is refused by one line and left as it is."""

import os
import shutil
import socket

import pytest

from longtail import LongtailError
from longtail.analysis import store
from longtail.reproduce.cells import build_cells
from longtail.reproduce.ledger import Ledger
from longtail.reproduce.tables import TABLES
from tests import fuzzing

OUTPUTS = {
    "train data ce --out {}": "",
    "train data ce --seeds 2 --out {}": "",
    "train data ce --resume --out {}": "",
    "predict run one.png --out {}": ".csv",
    "report run --figures none --out {}": ".html",
    "figure accuracy run --out {}": ".svg",
    "inspect data --out {}": ".html",
    "export run --format safetensors --out {}": ".safetensors",
    "reproduce methods --ledger {}": "",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("special")
    fuzzing.build_workspace(folder)
    with fuzzing.without_training(folder):
        yield folder


@pytest.mark.parametrize("line", OUTPUTS)
@pytest.mark.parametrize("kind", ["fifo", "socket", "device"])
def test_a_special_file_as_output_is_refused_in_one_line_and_left_as_it_is(workspace, line, kind):
    path = workspace / f"special{OUTPUTS[line]}"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/full")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    found = fuzzing.run_line(line.format(path).split())
    fuzzing.check_outcome(found)
    assert found.code == 2 and str(path) in found.err and path.exists() and not path.is_file()
    path.unlink()


@pytest.mark.parametrize("name, line", [("report.html", "report {}"), ("figures/accuracy.svg", "figure accuracy {}")])
def test_a_fifo_in_the_place_of_a_default_output_is_refused_in_one_line(workspace, tmp_path, name, line):
    run = shutil.copytree(workspace / "run", tmp_path / "run")
    (run / "figures").mkdir(exist_ok=True)
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    found = fuzzing.run_line(line.format(run).split())
    fuzzing.check_outcome(found)
    assert found.code == 2 and name in found.err and "pipe, socket or device" in found.err


def test_a_fifo_beside_a_figure_is_refused_before_the_figure_is_drawn(tmp_path):
    (tmp_path / "a.svg").write_text("longtail figure accuracy")
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(LongtailError, match=r"a\.csv is a pipe, socket or device"):
        store.check_target(tmp_path / "a.svg", "longtail figure accuracy")


def test_a_fifo_in_a_ledger_is_not_read(tmp_path):
    ledger, cell = Ledger(tmp_path), next(build_cells(TABLES["methods"]))
    os.mkfifo(ledger.file(cell))
    with pytest.raises(LongtailError, match="is not a regular file"):
        ledger.read(cell)

"""Standard output and error: names never command a terminal, full disks are one line, closed pipes end quietly."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from longtail import LongtailError
from longtail.commands import app
from longtail.commands.streams import CLOSED_PIPE, guard_streams
from longtail.errors import escape_controls
from longtail.runs.finished import note_missing_manifest
from longtail.tracking import PrintReport

EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x07\u202egnp"  # title, clear screen, 8-bit color, bell, reversed text
RAW = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
FULL = Path("/dev/full")
LINES = ("recipes", "methods ecl", "--help", "train --help", "--version", "inspect digits-lt --out PAGE")


def run(*words: object) -> int | str | None:
    with pytest.raises(SystemExit) as stop:
        app.main(list(map(str, words)))
    return stop.value.code


def start(line: str, stdout, stderr=subprocess.PIPE, page: Path = Path("page.html"), buffered: bool = True):
    words = [sys.executable, "-m", "longtail", *line.replace("PAGE", str(page)).split()]
    environment = os.environ | {"PYTHONUNBUFFERED": "" if buffered else "1"}
    return subprocess.run(words, stdout=stdout, stderr=stderr, text=True, env=environment)


@pytest.fixture(scope="module")
def evil(tmp_path_factory):
    """Make class folders and images with control codes in every name, one image unreadable, and a run trained on them."""
    root = tmp_path_factory.mktemp("evil") / f"data{EVIL}"
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), np.uint8)
    for subset in ("train", "test"):
        for c in range(2):
            folder = root / subset / f"{c}{EVIL}"
            folder.mkdir(parents=True)
            for i, image in enumerate(pixels):
                Image.fromarray(image if subset == "train" else 255 - image).save(folder / f"{i}{EVIL}.png")
    return root


def check_output(capsys) -> str:
    printed = capsys.readouterr()
    for text in printed:
        assert not RAW.search(text), RAW.search(text)
    return printed.out + printed.err


@pytest.mark.parametrize("terminal", ["0", "1"])
def test_no_name_reaches_the_terminal_raw(terminal, evil, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "500")
    monkeypatch.setenv("TTY_COMPATIBLE", terminal)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")  # rich prints no codes of its own
    bad = evil.parent / f"bad{EVIL}"
    bad.mkdir(exist_ok=True)
    (bad / f"a{EVIL}.png").write_text("no image")
    (bad / f"b{EVIL}.notes").write_text("no image")
    Image.new("RGB", (8, 8)).save(bad / f"c{EVIL}.png")
    out = tmp_path / "run"
    small = ["--size", "8", "--net", "conv4", "--epochs", "1", "--batch-size", "4", "--threads", "1"]
    assert run("train", evil, "ce", *small, "--out", out) == 0
    check_output(capsys)
    assert run("inspect", evil, "--out", tmp_path / f"page{EVIL}.html") == 0
    assert "\\x1b]0;owned" in check_output(capsys)
    assert run("predict", out, bad) == 3
    check_output(capsys)
    assert run("predict", out, bad, "--out", tmp_path / f"new{EVIL}.csv") == 3
    assert "\\x1b]0;owned" in check_output(capsys)
    assert run("evaluate", out) == 0 and run("report", out, "--out", tmp_path / f"r{EVIL}.html") == 0
    check_output(capsys)
    assert run("export", out, "--format", "safetensors", "--out", tmp_path / f"e{EVIL}.safetensors") == 0
    assert "\\x1b]0;owned" in check_output(capsys)
    assert run("reproduce", "all", "--show", "--ledger", tmp_path / f"ledger{EVIL}") == 0
    assert "\\x1b]0;owned" in check_output(capsys)


def test_reproduce_shows_the_path_of_a_ledger_as_it_is_called(tmp_path, capsys, monkeypatch):
    def stop(*_, **__):
        raise LongtailError(f"no room in {tmp_path}/[red]{EVIL}[/]")

    monkeypatch.setattr("longtail.trainer.Trainer.fit", stop)
    ledger = tmp_path / f"[/]{EVIL}"
    assert run("reproduce", "methods", "--only", "ce", "--seeds", "1", "--ledger", ledger) == 2
    text = check_output(capsys)
    assert "[red]\\x1b]0;owned" in text and "[/]\\x1b]0;owned" in text


def test_the_progress_and_the_notes_of_the_python_interface_escape_names(tmp_path, capsys, caplog):
    report = PrintReport()
    report.begin(0, f"ce on {EVIL}", 1, 1)
    report.note(f"skipped {EVIL}")
    assert check_output(capsys).count("\\x1b]0;owned") == 2
    note_missing_manifest(tmp_path / EVIL)
    assert not RAW.search(caplog.text) and "\\x1b]0;owned" in caplog.text


@pytest.mark.parametrize(
    "line",
    [
        f"train {EVIL}",
        f"train digits-lt {EVIL}",
        f"train digits-lt ce --{EVIL} 1",
        f"predict {EVIL} a.png",
        f"report {EVIL}",
        f"inspect ./{EVIL}",
        f"figure {EVIL}",
        EVIL,
    ],
)
def test_errors_escape_what_the_user_or_a_script_typed(line, capsys):
    assert run(*line.split()) == 2
    assert "\\x1b" in check_output(capsys)


def test_letters_of_every_script_and_line_breaks_of_our_texts_stay():
    for text in ("Ähre", "שלום", "狼 🦊", "a\N{ZERO WIDTH JOINER}b", "\N{LEFT-TO-RIGHT MARK}x"):
        assert escape_controls(text) == text
    assert escape_controls("a\x1b[31m\nb\tc\x9b") == "a\\x1b[31m\\nb\\tc\\x9b"


def test_the_guard_leaves_the_styles_of_rich():
    from rich.console import Console

    console = Console(force_terminal=True, color_system="standard", width=200)
    with guard_streams(), console.capture() as capture:
        console.print(f"[bold]{EVIL}[/]\nnext", highlight=False)
    assert capture.get().startswith("\x1b[1m\\x1b]0;owned") and capture.get().count("\n") == 2


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("buffered", [False, True])
def test_a_full_standard_output_is_one_line_and_exit_code_2(line, buffered, tmp_path):
    with FULL.open("w") as full:
        result = start(line, full, page=tmp_path / "page.html", buffered=buffered)
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    assert "standard output cannot be written: No space left on device" in result.stderr


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_full_standard_error_keeps_the_exit_code(tmp_path):
    with FULL.open("w") as full:
        assert start("train nothing", subprocess.PIPE, full).returncode == 2
        assert start("recipes", full, full).returncode == 2


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("both", [False, True])
def test_a_pipe_that_nobody_reads_is_quiet_with_exit_code_141(line, both, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        result = start(line, pipe, pipe if both else subprocess.PIPE, tmp_path / "page.html")
    assert result.returncode == CLOSED_PIPE == 141 and not result.stderr


def test_a_closed_standard_output_is_no_fault():
    line = f"{sys.executable} -m longtail recipes >&-"
    result = subprocess.run(line, shell=True, stderr=subprocess.PIPE, text=True)
    assert (result.returncode, result.stderr) == (0, "")


def test_a_broken_pipe_that_is_not_the_console_is_a_bug_and_not_hidden(monkeypatch, capsys):
    def fail(_):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(app, "build_app", fail)
    with pytest.raises(BrokenPipeError):
        app.main(["recipes"])

"""The progress of a run on a terminal."""

import io

import pytest
from rich.console import Console

from longtail.commands.console import (
    METRIC_LABELS,
    ConsoleReport,
    break_silence,
    build_report,
    build_results_table,
    describe_small_groups,
)
from longtail.metrics import METRICS
from longtail.tracking import PrintReport


def test_a_terminal_shows_phase_epoch_and_accuracy_and_is_left_whole_after_an_error():
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    report = build_report(console)
    assert isinstance(report, ConsoleReport) and isinstance(build_report(Console(file=io.StringIO())), PrintReport)
    try:
        with report:
            report.begin(0, "title", 2, 4000)
            report.advance(0, 1, 2000, {"bc": 1.5})
            report.epoch(0, {"epoch": 1, "test_top1": 50.0})
            report.phase("testing", 0)
            report.bar.refresh()
            assert "testing" in console.file.getvalue()
            report.advance(0, 2, 10, {"bc": 1.25})
            raise ValueError
    except ValueError:
        assert not report.bar.live.is_started
    assert "seed 0, epoch 2/2" in console.file.getvalue() and "top-1 50.0 (epoch 1)" in console.file.getvalue()


def test_a_command_that_is_long_at_work_says_so_on_standard_error(monkeypatch, capsys):
    monkeypatch.setattr("longtail.tracking.SILENCE_SECONDS", 0)
    with break_silence("testing") as silence:
        silence.break_silence()
    found = capsys.readouterr()
    assert set(found.err.splitlines()) == {"testing"} and not found.out


@pytest.mark.parametrize("experts", [1, 3])
def test_the_title_of_a_results_table_is_one_line_of_a_terminal_with_80_columns(experts):
    mode = {"ensemble": dict.fromkeys(METRICS, 100.0), "experts": [dict.fromkeys(METRICS, 100.0)] * experts}
    results = {"method": "logit_adjustment", "data": "photos", "seed": 0, "epochs": 30, "plain": mode, "flip": mode}
    console = Console(file=io.StringIO(), width=80)
    console.print(build_results_table(results))
    title, blank, head, *_ = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert title == "logit_adjustment on photos, seed 0, epoch 30 (the last)" and not blank
    assert head.split() == ["%", "of", "test", "images", *METRIC_LABELS.values()]


def test_mirror_images_are_left_out_where_none_was_trained_on():
    mode = {"ensemble": dict.fromkeys(METRICS, 100.0), "experts": [dict.fromkeys(METRICS, 100.0)]}
    results = {"method": "bc", "data": "digits-lt", "seed": 0, "epochs": 1, "plain": mode, "flip": mode}
    shown = {}
    for flips in (True, False):
        console = Console(file=io.StringIO(), width=80)
        console.print(build_results_table(results, flips=flips))
        shown[flips] = console.file.getvalue()
    assert "single, flip TTA" in shown[True] and "TTA" not in shown[False] and "single" in shown[False]


def test_groups_with_few_test_images_are_named():
    rows = [("many", 60), ("medium", 7), ("few", 1), ("few", 2), ("few", 0)]
    table = [{"group": group, "test_images": str(tested)} for group, tested in rows]
    text = describe_small_groups(table)
    assert text == "measured on few images: medium on 7 test images of 1 class, few on 3 test images of 2 classes"
    assert describe_small_groups(table[:1]) == ""

"""Progress lines, and TensorBoard: written where it is installed, and never in the way."""

import queue
import sys
import threading
from pathlib import Path

import pytest

from longtail.api import train
from longtail.recipes import recipe_for
from longtail.seeds import RemoteReport
from longtail.stages import describe_choices
from longtail.tensorboard import Tracker, tensorboard_tag
from longtail.tracking import PrintReport, format_duration


def test_scalars_of_every_epoch_are_written(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra track")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train("digits-lt", "ce", out=tmp_path / "run", epochs=3, eval_every=1)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert {"train/loss", "train/ce", "run/lr", "test/top1"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]


def test_without_tensorboard_nothing_is_imported_or_written(tmp_path, monkeypatch):
    monkeypatch.setattr("longtail.tensorboard.find_spec", lambda name: None)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    train("digits-lt", "ce", out=tmp_path / "run", epochs=1)
    assert not (tmp_path / "run" / "tensorboard").exists() and (tmp_path / "run" / "results.json").exists()


def test_a_folder_that_cannot_be_written_ends_the_tracking_not_the_run(tmp_path):
    (tmp_path / "file").touch()
    tracker = Tracker(tmp_path / "file" / "tensorboard")
    for epoch in (1, 2):
        tracker.add({"epoch": epoch, "loss": 1.0, "stage": "train"})
    tracker.close()
    assert not tracker.works


@pytest.mark.parametrize("errno", [28, 30, 122])
def test_a_disk_without_room_or_inodes_prints_nothing_and_ends_the_tracking(tmp_path, errno, monkeypatch, capfd):
    pytest.importorskip("tensorboard", reason="needs the extra track")
    threads = threading.active_count()

    def fail(self, *arguments, **options):
        raise OSError(errno, "no room", str(self))

    tracker = Tracker(tmp_path / "tensorboard")
    monkeypatch.setattr(Path, "open", fail)
    for epoch in (1, 2):
        tracker.add({"epoch": epoch, "loss": 1.0})
    tracker.close()
    assert not tracker.works and threading.active_count() == threads
    assert capfd.readouterr() == ("", "")


def test_a_resumed_run_replaces_the_epochs_that_a_killed_one_wrote_twice(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra track")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for first, loss in ((1, 1.0), (3, 2.0)):
        tracker = Tracker(tmp_path)
        for epoch in range(first, 5):
            tracker.add({"epoch": epoch, "loss": loss})
        tracker.close()
    events = EventAccumulator(str(tmp_path)).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in events] == [(1, 1.0), (2, 1.0), (3, 2.0), (4, 2.0)]


def test_columns_have_places():
    places = {
        "test_top1": "test/top1",
        "val_ece": "val/ece",
        "lr": "run/lr",
        "bc": "train/bc",
        "bc_ref": "train/bc_ref",
    }
    assert {name: tensorboard_tag(name) for name in places} == places


class Clock:
    """A clock that moves only when told."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr("longtail.tracking.time.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def test_a_silence_of_thirty_seconds_is_broken_by_epoch_step_and_time_left(clock):
    lines = []
    report = PrintReport(lines.append)
    report.begin(0, "title", epochs=4, steps=400)
    report.step(0, 2, 0)  # a resumed run: the steps before were of another process
    clock.now += 29
    report.step(0, 2, 10)
    report.break_silence()
    assert lines == ["title"]
    clock.now += 1
    report.break_silence()
    assert lines[1:] == ["seed 0 epoch 2/4, step 10 of 100  14 min left"]  # 290 steps at 3 seconds each
    for _ in range(60):
        clock.now += 1
        report.break_silence()
    assert len(lines) == 4


def test_a_silence_in_a_phase_or_outside_of_runs_names_the_phase(clock):
    lines = []
    report = PrintReport(lines.append)

    def wait():
        clock.now += 31
        report.break_silence()
        return lines[-1]

    assert wait() == "reading the data"
    report.begin(1, "title", 2, 20)
    assert wait() == "seed 1, before the first step"
    report.step(1, 1, 10)
    report.phase("testing on the val images", 1)
    assert wait() == "seed 1 epoch 1/2, testing on the val images"
    report.end(1)
    report.phase("drawing the report")
    assert lines[-1] == "drawing the report" and wait() == "drawing the report" and lines[-2] == lines[-1]


def test_the_last_test_is_announced_and_tests_on_the_way_only_if_the_last_line_is_old(clock):
    lines = []
    report = PrintReport(lines.append)
    report.begin(0, "title", 2, 20)
    for epoch in (1, 2):
        report.step(0, epoch, 9)
        report.phase("testing", 0)
        report.epoch(0, {"epoch": epoch, "loss": 1.0, "bc": 1.0, "peak_memory_mb": 1, "seconds": 200.0})
    assert lines[1:] == ["seed 0 epoch 2/2, testing", "seed 0 epoch 2/2  loss 1.000  bc 1.000  3.3 min"]
    lines.clear()
    report.begin(3, "title", 9, 90)
    report.advance(3, 9, 90, {})  # restored at its end
    report.phase("testing", 3)
    assert lines == ["seed 3 epoch 9/9, testing"]


def test_silence_is_watched_within_the_block_only_and_a_closed_output_ends_the_watch(monkeypatch):
    said, spoken = [], threading.Event()
    monkeypatch.setattr("longtail.tracking.SILENCE_SECONDS", 0)

    def say(text):
        said.append(text)
        spoken.set()
        raise BrokenPipeError

    with PrintReport(say) as report:
        assert spoken.wait(30)
    assert said == ["reading the data"] and not report.thread.is_alive()


def test_of_many_steps_a_child_process_sends_one_a_second(clock, monkeypatch):
    messages = queue.Queue()
    report = RemoteReport(messages)
    for done in range(30):
        report.step(0, 1, done)
        clock.now += 0.1
    report.phase("testing", 0)
    assert [messages.get() for _ in range(messages.qsize())] == [
        ("step", 0, 1, 0),
        ("step", 0, 1, 10),
        ("step", 0, 1, 20),
        ("phase", "testing", 0),
    ]


def test_times_are_in_minutes_over_two_minutes_and_in_hours_over_two_hours():
    times = {0: "0.00 s", 0.284: "0.28 s", 9.5: "9.5 s", 47.3: "47 s", 120: "120 s", 121: "2.0 min", 1800: "30 min"}
    times |= {7200: "120 min", 7300: "2.0 h", 360_000: "100 h"}
    assert {seconds: format_duration(seconds) for seconds in times} == times


@pytest.mark.parametrize(
    ("views", "flips"), [("custom-64", True), ("custom-unmirrored-64", False), ("imagenet-64", True)]
)
def test_what_was_chosen_stands_on_one_line(views, flips, tmp_path):
    chosen = recipe_for(
        tmp_path, "scratch", views=views, val_share=0.1, test_share=0.2, weights="timm", net="test_resnet", lr=0.01
    )
    assert describe_choices(chosen) == (
        f"weights timm, learning rate 0.01, batch 64, images of 64 x 64, horizontal flips {'on' if flips else 'off'}, "
        "0.1 of every class held out to validate, 0.2 of every class held out to test"
    )
    assert "images of 224 x 224, 2 looks at an image, nothing" in describe_choices(recipe_for(tmp_path, method="ecl"))

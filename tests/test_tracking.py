"""TensorBoard: written where it is installed, and never in the way."""

import sys
import threading
from pathlib import Path

import pytest

from longtail.api import train
from longtail.tracking import Tracker, tensorboard_tag


def test_scalars_of_every_epoch_are_written(tmp_path):
    pytest.importorskip("tensorboard", reason="needs the extra track")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train("digits-lt", "ce", out=tmp_path / "run", epochs=3, eval_every=1)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert {"train/loss", "train/ce", "run/lr", "test/top1"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]


def test_without_tensorboard_nothing_is_imported_or_written(tmp_path, monkeypatch):
    monkeypatch.setattr("longtail.tracking.find_spec", lambda name: None)
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

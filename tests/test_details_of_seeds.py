"""Seeds, progress and workers in details that no other test checks."""

import os

import numpy as np
import pytest
import torch
from PIL import Image

import longtail
from longtail import data
from longtail.augment import get_transform_set
from longtail.data import ReadOptions, load_split
from longtail.data.stream import StreamLoader
from longtail.distributed import World
from longtail.losses import cross_entropy
from longtail.methods import Classifier, Stage
from tests.data.test_stream import batches

CPU = torch.device("cpu")


class Recorder(Classifier):
    def __init__(self, counts, net):
        super().__init__(counts, net)
        self.progress, self.draws, self.begun = [], [], []

    def stages(self):
        return [Stage("one", 0.5), Stage("two", 0.5)]

    def begin_stage(self, stage, split):
        super().begin_stage(stage, split)
        BEGUN.append(torch.rand(()).item())

    def forward(self, batch):
        SEEN.append((self.stage, batch.progress.item(), torch.rand(()).item()))
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}


SEEN: list = []
BEGUN: list = []


def test_progress_grows_within_an_epoch_and_each_epoch_has_its_seed(tmp_path, monkeypatch):
    SEEN.clear(), BEGUN.clear()
    monkeypatch.setattr(World, "chunk_size", lambda self, side: 64)
    longtail.train("digits-lt", Recorder, out=tmp_path / "run", epochs=4, eval_every=0)
    for stage in ("one", "two"):
        progress = [p for name, p, _ in SEEN if name == stage]
        assert len(progress) > 8
        assert progress == pytest.approx([i / len(progress) for i in range(len(progress))], abs=1e-6)
    n = len(SEEN) // 4
    assert len({SEEN[epoch * n][2] for epoch in range(4)}) == 4
    assert len(set(BEGUN)) == 2


@pytest.fixture
def equal_photos(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    for subset in ("train", "test"):
        for name in "ab":
            (tmp_path / subset / name).mkdir(parents=True)
            for i in range(8):
                Image.fromarray(pixels).save(tmp_path / subset / name / f"{i}.png")
    return tmp_path


def test_streamed_images_views_and_stages_have_seeds_of_their_own(equal_photos):
    split = load_split(str(equal_photos), None, None, ReadOptions(workers=0))
    loader = StreamLoader(split, get_transform_set("imagenet-32"), ("strong", "strong"), 8, 3, CPU)
    ((batch,), *_) = batches(loader, 0)
    a, b = batch.views
    assert len({view.numpy().tobytes() for view in [*a, *b]}) == 16
    zero, one = (next(loader.epoch(0, stage))[0].batch(0, torch.zeros(())) for stage in (0, 1))
    assert not {x.numpy().tobytes() for x in zero.views[0]} & {x.numpy().tobytes() for x in one.views[0]}


def test_the_cores_are_divided_among_the_processes(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    assert data.count_workers(None) == 1

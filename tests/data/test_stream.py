"""Streaming: the batches of memory, whatever the workers; a broken file named; a bounded number in flight."""

import os
import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms.functional import pil_to_tensor
from torchvision.transforms.v2 import functional as F

from longtail import LongtailError, data
from longtail.augment import get_transform_set
from longtail.data import ReadOptions, load_split
from longtail.data.loader import Loader
from longtail.data.stream import StreamLoader
from longtail.data.workers import Decoder, Job, decode_jobs, iterate_pixels
from longtail.inference import images

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """60 training and 12 test JPEGs of random sizes in three classes."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for subset, counts in (("train", (36, 16, 8)), ("test", (4, 4, 4))):
        for name, count in zip(("ant", "bee", "cat"), counts, strict=True):
            (root / subset / name).mkdir(parents=True)
            for i in range(count):
                height, width = rng.integers(40, 90, 2)
                pixels = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
                image = Image.fromarray(pixels).resize((width, height))
                image.save(root / subset / name / f"{i}.jpg")
    return root


def streamed(folder, workers: int):
    return load_split(str(folder), None, None, ReadOptions(workers=workers))


def loader(folder, workers: int, views: str = "imagenet-32", batch: int = 14) -> StreamLoader:
    return StreamLoader(streamed(folder, workers), get_transform_set(views), ("strong", "moco"), batch, 3, CPU)


def batches(loader, epoch: int, samplers=("instance",)) -> list:
    """Return the batches of an epoch, for each step one of each sampler."""
    steps, progress = [], torch.zeros(())
    for chunks in loader.epoch(epoch, 0, samplers):
        for i in range(len(chunks[0])):
            steps.append([chunk.batch(i, progress) for chunk in chunks])
    return steps


def equal(a: list, b: list) -> bool:
    """Return whether two epochs have equal labels, positions and views."""
    pairs = [pair for steps in zip(a, b, strict=True) for pair in zip(*steps, strict=True)]
    return all(
        torch.equal(x.y, y.y) and torch.equal(x.index, y.index) and all(map(torch.equal, x.views, y.views))
        for x, y in pairs
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_streamed_batches_of_custom_images_equal_those_of_memory_bit_for_bit(folder, workers):
    memory, files = load_split(str(folder), None, None, ReadOptions(size=32)), streamed(folder, workers)
    views = get_transform_set("custom-32")
    chosen = [views.transforms[name] for name in ("strong", "moco")]
    kept = Loader(memory, chosen, 14, 3, CPU, chunk_size=1024)
    streaming = StreamLoader(files, views, ("strong", "moco"), 14, 3, CPU)
    samplers = ("instance", "balanced")
    assert kept.steps == streaming.steps == 4
    assert equal(batches(kept, 5, samplers), batches(streaming, 5, samplers))


def test_views_of_photographs_do_not_depend_on_workers_and_change_with_the_epoch(folder):
    first = batches(loader(folder, 0), 1)
    assert equal(first, batches(loader(folder, 1), 1)) and equal(first, batches(loader(folder, 2), 1))
    assert not equal(first, batches(loader(folder, 0), 2))


def test_a_batch_has_the_labels_of_its_images_and_a_last_partial_batch_is_left_out(folder):
    streaming = loader(folder, 0, batch=14)
    found = batches(streaming, 0)
    assert len(found) == streaming.steps == 60 // 14
    index = torch.cat([batch.index for (batch,) in found])
    assert len(index.unique()) == 56
    for (batch,) in found:
        assert [v.shape for v in batch.views] == [(14, 3, 32, 32)] * 2 and batch.views[0].dtype == torch.uint8
        assert torch.equal(batch.y, streaming.labels[batch.index])


def test_two_samplers_draw_and_augment_independently(folder):
    ((a, b), *_) = batches(loader(folder, 0), 0, ("instance", "instance"))
    assert not torch.equal(a.index, b.index)
    common = [(i, j) for i, x in enumerate(a.index) for j, y in enumerate(b.index) if x == y]
    assert common and all(not torch.equal(a.views[0][i], b.views[0][j]) for i, j in common)


def test_decoding_leaves_all_random_numbers_of_the_caller_alone(folder):
    def draw():
        return torch.rand(()).item(), np.random.rand(), random.random()

    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(0)
    expected = draw()
    for seed in (torch.manual_seed, np.random.seed, random.seed):
        seed(0)
    batches(loader(folder, 0), 0)
    batches(loader(folder, 1), 0)
    assert draw() == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_test_images_equal_decoding_by_hand(folder, workers):
    files = streamed(folder, workers).test
    found = torch.cat(list(iterate_pixels(files, get_transform_set("imagenet-56"), batch_size=5)))
    for i, image in enumerate(found):
        opened = Image.open(files.name(i)).convert("RGB")
        assert torch.equal(image, pil_to_tensor(F.center_crop(F.resize(opened, 64), 56)))
    squares = torch.cat(list(iterate_pixels(files, get_transform_set("custom-32"), batch_size=5)))
    assert torch.equal(squares, load_split(str(folder), None, None, ReadOptions(size=32)).test.images)


@pytest.mark.parametrize("views", ["imagenet-32", "imagenet-16", "custom-32", "custom-16"])
def test_predict_reads_the_pixels_of_the_test_from_every_form_of_an_image(folder, views):
    files, chosen = streamed(folder, 0).test, get_transform_set(views)
    names = [files.name(i) for i in range(len(files))]
    tested = torch.cat(list(iterate_pixels(files, chosen, batch_size=5)))
    ((read, batch, bad),) = images.decode_batches(names, chosen)
    assert read == names and not bad and torch.equal(batch, tested)
    assert torch.equal(images.to_image_tensor(names, chosen), tested)
    if chosen.eval_transform:  # an array was decoded by its owner, hence whole
        arrays = [np.asarray(Image.open(name)) for name in names]
        tensors = [torch.from_numpy(array.transpose(2, 0, 1).copy()) for array in arrays]
        for given in (arrays, tensors, [Image.open(name) for name in names]):
            assert torch.equal(images.to_image_tensor(given, chosen), tested)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_during_training_gives_one_line_with_its_path(folder, tmp_path, workers):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    streaming = loader(copy, workers)
    (copy / "train" / "ant" / "3.jpg").write_bytes(b"no image")
    with pytest.raises(
        LongtailError,
        match=r"ant/3\.jpg: not an image that Pillow reads; repair or remove that image, or .* --skip-bad",
    ) as stopped:
        batches(streaming, 0)
    assert "\n" not in str(stopped.value)


def kill_myself(image):
    os.kill(os.getpid(), 9)


def test_a_killed_worker_gives_one_line_that_says_what_to_do(folder):
    decoder = Decoder(streamed(folder, 1).test, [kill_myself], None)
    with pytest.raises(LongtailError, match=r"one of the 1 processes that decode .* --workers 0"):
        list(decode_jobs(decoder, [[Job([0], [0])]], pin=False))


def fail(image):
    raise RuntimeError("my transform failed")


def test_an_error_inside_a_worker_keeps_its_words(folder):
    decoder = Decoder(streamed(folder, 1).test, [fail], None)
    with pytest.raises(RuntimeError, match="my transform failed"):
        list(decode_jobs(decoder, [[Job([0], [0])]], pin=False))


def test_workers_are_two_jobs_ahead_at_most(folder):
    asked = []

    def jobs():
        for i in range(30):
            asked.append(i)
            yield [Job([i % 12], [0])]

    view = get_transform_set("imagenet-32").eval_transform
    for done, _ in enumerate(decode_jobs(Decoder(streamed(folder, 2).test, [view], None), jobs(), pin=False), 1):
        assert len(asked) <= done + 2 * 2


def test_the_number_of_workers_is_as_asked_or_leaves_a_core_to_training(monkeypatch):
    assert data.count_workers(3) == 3
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)))
    assert data.count_workers(None) == 7
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert data.count_workers(None) == 1
    with pytest.raises(LongtailError, match="workers is -1"):
        data.count_workers(-1)

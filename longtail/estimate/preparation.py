"""What it costs to make the data ready for training: features of a frozen encoder, or images in memory."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from longtail.data import LazyImages, Split, TensorImages
from longtail.data.eval_transform import build_eval_transform
from longtail.data.memory import fits_in_memory, get_lazy_subsets, try_each
from longtail.data.workers import Decoder
from longtail.distributed import World
from longtail.errors import LongtailError
from longtail.estimate.clock import overlap, time_call, time_checks, time_decoding
from longtail.features import Extractor, build_extractor
from longtail.features.extract import CPU_BATCH, GPU_BATCH, TEST_LOOKS
from longtail.nets import FrozenNet, fused_conv_bn
from longtail.recipe import Recipe
from longtail.tracking import SilentReport

SAMPLE = 16  # images of a subset that are read


@dataclass(frozen=True)
class Preparation:
    """The seconds in which the data become ready for training, their bytes, and rows that stand for them.

    `rows` are features (n, L, d), pixels (n, 3, S, S), or images in files, of which `decode` takes seconds an image.
    """

    seconds: float
    size: int
    rows: Tensor | LazyImages
    decode: float = 0.0


def measure_features(recipe: Recipe, split: Split, world: World, cache: str | Path | None) -> Preparation:
    """Measure the extraction of features that the cache does not hold, from a sample of every subset."""
    weights, net = world.main_first(recipe.find_weights), recipe.build_net()
    assert isinstance(net, FrozenNet) and weights is not None
    extractor = build_extractor(recipe, weights.provenance(), net.build_trunk(), world, SilentReport(), cache)
    seconds, size, embed, rows = 0.0, 0, 0.0, torch.empty(0)
    with torch.no_grad(), fused_conv_bn(extractor.trunk):
        for name, images in get_lazy_subsets(split).items():
            looks, sample = recipe.frozen_views if name == "train" else TEST_LOOKS, choose_sample(images)
            decoder = extractor.build_decoder(sample, looks)
            pixels, decode = time_decoding(decoder)
            if name == "train":
                embed = time_embedding(extractor, pixels)
                rows = extractor.embed(pixels).unsqueeze(1).expand(-1, looks, -1)
            held = extractor.look_up(sample, looks, skip_bad=False).is_held.mean()
            computed = overlap(decode, looks * embed, images, world) * (1 - held)
            seconds += len(images) * (time_checks(sample) + computed / world.size)  # rank 0 alone checks
            size += len(images) * looks * rows.shape[-1] * rows.element_size()
    return Preparation(float(seconds), size, rows)


def time_embedding(extractor: Extractor, pixels: Tensor) -> float:
    """Return the seconds in which the features of an image are computed, from a batch of those (n, 3, S, S) over and over."""
    n = GPU_BATCH if extractor.world.device.type == "cuda" else CPU_BATCH
    batch = pixels[torch.arange(n) % len(pixels)]
    return time_call(lambda: extractor.embed(batch)) / n


def measure_reading(recipe: Recipe, split: Split, world: World) -> Preparation:
    """Measure how long the images take to be read into memory, or to be checked where they stay in files."""
    transform_set, train = recipe.transform_set, split.train
    bytes_in_memory = 3 * transform_set.size**2 * sum(map(len, split.subsets.values()))
    if isinstance(train, TensorImages):
        return Preparation(0.0, bytes_in_memory, train.images[:: -(-len(train) // SAMPLE)])
    assert isinstance(train, LazyImages)
    evaluation, total = build_eval_transform(transform_set), sum(map(len, split.subsets.values()))
    sample = choose_sample(train)
    if transform_set.eval_transform or not fits_in_memory(split, transform_set.size):
        return Preparation(total * time_checks(sample), 0, sample)
    pixels, decode = time_decoding(Decoder(sample, [evaluation.transform], evaluation.min_side))
    return Preparation(total * decode / (os.cpu_count() or 1), bytes_in_memory, pixels)


def choose_sample(images: LazyImages) -> LazyImages:
    """Return the readable images of a few that lie evenly in a subset; raises LongtailError if there are none."""
    rows = np.unique(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).astype(np.int64))
    good, bad = try_each(lambda i: images.read(int(rows[i])), len(rows))
    if not len(good):
        raise LongtailError(f"none of {len(rows)} images can be read, the first {bad.first[0]}")
    return images.take(rows[good])

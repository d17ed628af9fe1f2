"""Features of a set of photographs with a long tail that is drawn anew for each seed, for benchmarks of heads."""

import argparse
from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.harness import count
from longtail.data.holdout import cut_long_tail
from longtail.distributed import init_world
from longtail.features import build_extractor
from longtail.recipes import recipe_for
from longtail.tracking import PrintReport


@dataclass(frozen=True)
class Features:
    """Features (N, d) float32 and labels (N,) of training and of test images, and the number of classes."""

    train: np.ndarray
    labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray
    classes: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name the data, its tail, and the seeds."""
    parser.add_argument("data", nargs="?", default="caltech101")
    parser.add_argument("--root", required=True)
    parser.add_argument("--net", default="tf_efficientnet_lite0")
    parser.add_argument("--imbalance", type=float, default=100.0)
    parser.add_argument("--seeds", type=count(), default=3)
    parser.add_argument("--cache")


def load(options: argparse.Namespace) -> Features:
    """Load the features of all images, from the cache where it holds them."""
    recipe = recipe_for(options.data, "frozen", net=options.net)
    weights, net = recipe.find_weights(), recipe.build_net()
    world, report = init_world(), PrintReport()
    extractor = build_extractor(recipe, weights.provenance(), net.build_trunk(), world, report, options.cache)
    split = extractor.extract_split(recipe.load_split(options.root, verify=False), recipe.frozen_views)
    train, test = (images.features[:, 0].float().numpy() for images in (split.train, split.test))
    return Features(train, split.train.labels.numpy(), test, split.test.labels.numpy(), len(split.classes))


def draw_tail(data: Features, imbalance: float, seed: int) -> np.ndarray:
    """Draw the positions of the largest exponential tail that the training images hold."""
    names = [str(c) for c in range(data.classes)]
    return np.asarray(cut_long_tail(torch.from_numpy(data.labels), names, imbalance, seed))

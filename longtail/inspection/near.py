"""Near duplicates: pairs of images whose features under a pretrained network are nearly equal, however they are encoded."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from longtail.data import LazyImages, TensorImages
from longtail.data.lazy import PixelIndex
from longtail.distributed import World
from longtail.features import build_extractor
from longtail.features.extract import TEST_LOOKS, Extractor
from longtail.inspection.duplicates import Duplicates
from longtail.nets import FrozenNet
from longtail.recipes import recipe_for
from longtail.tracking import ProgressReport

NEAR = "Near duplicates "  # begins a title
COSINE = 0.5  # of whitened features; docs/custom-data.md says what it finds
BLOCK = 2048  # images whose features are compared at once: 16 MB of cosines
SAMPLE = 10_000  # images from which the covariance of features is estimated
MOST_PAIRS = 100_000  # that are kept, those of the highest cosine


@dataclass(frozen=True)
class Pairs:
    """P pairs of positions (P, 2), the smaller first, with their cosines (P,), the highest first; `total` counts all pairs."""

    positions: np.ndarray
    cosines: np.ndarray
    total: int


@dataclass(frozen=True)
class NearDuplicates:
    """The pairs of images at least as near as a cosine under a network, without the pairs of equal content."""

    net: str
    weights: dict
    cosine: float
    pairs: Pairs

    def find_kinds(self, images: Duplicates) -> dict[str, np.ndarray]:
        """Return the rows of `pairs` by title: of different classes, of different subsets, and all others."""
        a, b = self.pairs.positions.T
        is_mislabeled, crosses = images.labels[a] != images.labels[b], images.subset_index[a] != images.subset_index[b]
        kinds = {"of different classes": is_mislabeled, "across subsets": crosses & ~is_mislabeled}
        kinds["within a subset"] = ~(is_mislabeled | crosses)
        return {NEAR + name: np.flatnonzero(rows) for name, rows in kinds.items() if rows.any()}


def find_near_duplicates(
    images: Duplicates, features: Tensor, rows: np.ndarray, device: torch.device | str, cosine: float
) -> Pairs:
    """Find the pairs of images by the features (M, d) of the images at `rows` (M,); of equal images the first stands for all."""
    distinct = np.sort(np.unique(images.content[rows], return_index=True)[1])
    found = find_pairs(whiten(features)[torch.from_numpy(distinct)], cosine, device)
    return replace(found, positions=rows[distinct][found.positions])


def whiten(features: Tensor) -> Tensor:
    """Return features (N, d) float16 of length 1 without mean and correlations: a cosine then tells copies from likenesses.

    The covariance of n images is shrunk by d / (n + d) towards a multiple of the identity, so that a cosine finds about
    the same share of copies in small and in large sets.
    """
    sample = features[:: max(len(features) // SAMPLE, 1)].double().numpy()
    n, d = sample.shape
    if n < 2:
        return features
    values, vectors = np.linalg.eigh(np.cov(sample.T, bias=True).reshape(d, d))
    shrinkage = d / (n + d)
    shrunk = (1 - shrinkage) * values.clip(0) + shrinkage * values.mean() + np.finfo(np.float32).tiny
    matrix, mean = torch.from_numpy(vectors * shrunk**-0.5).float(), torch.from_numpy(sample.mean(0)).float()
    return torch.cat([normalize((block.float() - mean) @ matrix, dim=1).half() for block in features.split(BLOCK)])


def find_pairs(features: Tensor, cosine: float, device: torch.device | str = "cpu", most: int = MOST_PAIRS) -> Pairs:
    """Find all pairs of normalized features (N, d) with at least a cosine, a block of images at a time."""
    positions, cosines, total = np.empty((0, 2), dtype=np.int64), np.empty(0, dtype=np.float32), 0
    for a, rows in enumerate(features.split(BLOCK)):
        for b, columns in enumerate(features.split(BLOCK)[a:], a):
            found = rows.to(device).float() @ columns.to(device).float().T
            if a == b:
                found.masked_fill_(torch.ones_like(found, dtype=torch.bool).tril(), -2)
            i, j = (found >= cosine).nonzero(as_tuple=True)
            positions = np.concatenate([positions, torch.stack([i + a * BLOCK, j + b * BLOCK], 1).cpu().numpy()])
            cosines = np.concatenate([cosines, found[i, j].cpu().numpy()])
            total += len(i)
            if len(cosines) > most:
                positions, cosines = keep_best(positions, cosines, most)
    return Pairs(*keep_best(positions, cosines, most), total)


def keep_best(positions: np.ndarray, cosines: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the pairs of the highest cosines in falling order, equal ones in the order of their positions."""
    order = np.lexsort((positions[:, 1], positions[:, 0], -cosines))[:most]
    return positions[order], cosines[order]


def build_near_extractor(
    data: str, net: str, weights: str | None, world: World, report: ProgressReport, cache: str | Path | None
) -> Extractor:
    """Build the extractor of the features that a frozen run on the data would use, with the size that the network takes.

    Raises LongtailError for an unknown network, and for weights that cannot be had.
    """
    recipe = recipe_for(data, "frozen", net=net, weights=weights or "auto")
    found, frozen = recipe.find_weights(), recipe.build_net()
    assert found is not None and isinstance(frozen, FrozenNet)
    return build_extractor(recipe, found.provenance(), frozen.build_trunk(), world, report, cache)


@torch.no_grad()
def compute_features(
    extractor: Extractor, subsets: Mapping[str, LazyImages | TensorImages], held: np.ndarray, skip_bad: bool
) -> tuple[Tensor, np.ndarray]:
    """Return the features (M, d) of all readable images, and their positions (M,), from the cache where it holds them.

    A frozen run on the same images then finds its features in the cache: it takes training images under one look, and
    under two those of other subsets and those at the positions `held`, which it would hold out to test on.
    """
    features, rows, start = [], [], 0
    for name, images in subsets.items():
        lazy = images if isinstance(images, LazyImages) else LazyImages(PixelIndex(images.images), images.labels)
        is_held = np.isin(np.arange(len(lazy)), held) | (name != "train")
        for looks, part in ((1, np.flatnonzero(~is_held)), (TEST_LOOKS, np.flatnonzero(is_held))):
            chosen = lazy.take(part)
            lookup = extractor.look_up(chosen, looks, skip_bad)
            features.append(extractor.complete(name, chosen.take(lookup.rows), lookup).features[:, 0])
            rows.append(start + part[lookup.rows])
        start += len(lazy)
    order = np.argsort(np.concatenate(rows))
    return torch.cat(features)[torch.from_numpy(order)], np.concatenate(rows)[order]

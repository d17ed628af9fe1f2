"""Features of every image of a split under a frozen encoder, computed where the cache does not hold them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from longtail.augment import TransformSet, hflip
from longtail.data.decode import hash_source
from longtail.data.eval_transform import build_eval_transform
from longtail.data.features import FeatureSet
from longtail.data.lazy import LazyImages
from longtail.data.memory import ReadErrors, drop_unreadable, get_lazy_subsets, try_each, unreadable_error
from longtail.data.split import Split
from longtail.data.workers import Decoder, build_ordered_job, decode_jobs
from longtail.distributed import SINGLE_PROCESS, World
from longtail.errors import LongtailError
from longtail.features.cache import FeatureCache, cache_root
from longtail.nets import FrozenEncoder, FrozenNet, fused_conv_bn
from longtail.recipe import Recipe
from longtail.runs.finished import FinishedRun
from longtail.tracking import ProgressReport, SilentReport

VERSION = 1  # of the computation: features of another version are computed again
TEST_LOOKS = 2  # test images are taken plainly and mirrored, for flip TTA
FILE_IMAGES = 1024  # images whose features are written at once; a killed run loses no more
CPU_BATCH, GPU_BATCH = 32, 256
FEW_IMAGES = 256  # are decoded sooner than worker processes start
CROP_AREA = (0.35, 1.0)  # share of the image that a random crop covers


@dataclass(frozen=True)
class RandomCrop:
    """A random crop of a photograph, resized to (S, S, 3) uint8, and mirrored with probability one half."""

    size: int

    def __call__(self, image: Image.Image) -> np.ndarray:
        from torchvision.transforms import v2

        crop = v2.RandomResizedCrop(self.size, scale=CROP_AREA)
        return np.asarray(v2.RandomHorizontalFlip()(crop(image)))


@dataclass(frozen=True)
class Lookup:
    """The readable images of a subset: their positions, the errors of all others, digests, and the features that are held."""

    rows: np.ndarray
    errors: ReadErrors
    digests: list[bytes]
    features: Tensor
    is_held: np.ndarray


@dataclass
class Extractor:
    """Computes the features of a split in all processes; `about` holds the encoder's name, hash and precision.

    `note` receives a line for the user, `say` the name of a subset, the images done and their number.
    """

    trunk: FrozenEncoder
    feature_dim: int
    transform_set: TransformSet
    about: dict
    world: World
    cache: Path
    note: Callable[[str], None]
    say: Callable[[str, int, int], None]

    def __post_init__(self):
        self.trunk = self.trunk.to(self.world.device)
        self.normalize = self.transform_set.build_normalize(self.world.device)

    def extract_split(self, split: Split, looks: int, skip_bad: bool = False) -> Split:
        """Return a split of `LazyImages` as one of `FeatureSet`s, L = `looks` for training images and 2 for all others.

        Raises LongtailError for images that cannot be read, unless `skip_bad`.
        """
        wanted = {name: looks if name == "train" else TEST_LOOKS for name in split.subsets}
        subsets = get_lazy_subsets(split)
        # rank 0 looks images up for all processes
        look_up = {name: partial(self.look_up, subsets[name], n, skip_bad) for name, n in wanted.items()}
        found = {name: self.world.on_main(call) for name, call in look_up.items()}
        checked = {name: (subsets[name].take(lookup.rows), lookup.errors) for name, lookup in found.items()}
        split = drop_unreadable(split, checked, skip_bad)
        sets = {name: self.complete(name, images, found[name]) for name, images in get_lazy_subsets(split).items()}
        return replace(split, train=sets["train"], test=sets["test"], val=sets.get("val"))

    def build_cache(self, looks: int) -> FeatureCache:
        """Return the cache of features under a number of looks."""
        s = self.transform_set
        transform = {"size": s.size, "mean": s.mean, "std": s.std, "resize": "bilinear", "crop_area": CROP_AREA}
        transform |= {} if s.fit == "cut" else {"fit": s.fit}  # cut has the key of before
        transform |= {"eval": "center"} if s.eval_transform and s.fit == "cut" else {}  # squares have the key of before
        return FeatureCache(self.cache, self.about | transform | {"looks": looks, "version": VERSION}, self.note)

    def embed(self, pixels: Tensor) -> Tensor:
        """Compute features on the device: (N, 3, S, S) uint8 -> (N, d) float16 on the CPU."""
        return self.trunk(self.normalize(pixels.to(self.world.device))).half().cpu()

    def look_up(self, images: LazyImages, looks: int, skip_bad: bool) -> Lookup:
        """Find which images the cache holds, and check all others: their headers or, with `skip_bad`, all of them."""
        digests = [b""] * len(images)

        def compute_digest(i: int) -> None:
            digests[i] = hash_source(images.index.source(i), images.name(i))

        rows, errors = try_each(compute_digest, len(images))
        features, is_held = self.build_cache(looks).read([digests[i] for i in rows], looks, self.feature_dim)
        missing = rows[~is_held]
        check = images.read if skip_bad else images.read_header
        good, more = try_each(lambda i: check(int(missing[i])), len(missing))
        is_good = is_held.copy()
        is_good[np.flatnonzero(~is_held)[good]] = True
        rows, features, is_held = rows[is_good], features[torch.from_numpy(is_good)], is_held[is_good]
        return Lookup(rows, errors + more, [digests[i] for i in rows], features, is_held)

    def complete(self, name: str, images: LazyImages, lookup: Lookup) -> FeatureSet:
        """Compute the features that the cache does not hold, each process its share, and return those of all images."""
        order = images.reading_order()
        missing = order[~lookup.is_held[order]]
        if len(missing):
            share = missing[self.world.shard(len(missing))]
            computed = self.world.run_everywhere(lambda: self.compute(name, images, lookup, share))
            lookup.features[torch.from_numpy(missing)] = self.world.all_gather(computed, n=len(missing))
        return FeatureSet(lookup.features, images.labels, images.digest(), images.index)

    def compute(self, name: str, images: LazyImages, lookup: Lookup, rows: np.ndarray) -> Tensor:
        """Compute the features of some images, and write them to the cache a file at a time: -> (n, L, d) float16.

        Raises LongtailError for an image that cannot be decoded, and for features beyond the range of float16.
        """
        looks, is_kept, done = lookup.features.shape[1], True, 0
        cache, digests = self.build_cache(looks), [lookup.digests[row] for row in rows]
        batches, blocks = [], [lookup.features[:0]]
        task = f"features of {'other ' * bool(lookup.is_held.any())}{name} images"  # the rest is in the cache
        with torch.no_grad(), fused_conv_bn(self.trunk):
            for batch in self.iterate_looks(images, rows, digests, looks):
                batches.append(batch)
                done += len(batch)
                self.say(task, done, len(rows))
                if sum(map(len, batches)) < FILE_IMAGES and done < len(rows):
                    continue
                block, batches = torch.cat(batches), []
                if not block.isfinite().all():
                    raise LongtailError("the features of this network are too large for float16; choose another --net")
                is_kept = is_kept and cache.write(digests[done - len(block) : done], block)
                blocks.append(block)
        return torch.cat(blocks)

    def build_decoder(self, images: LazyImages, looks: int) -> Decoder:
        """Build the decoder of images and of their random crops, where looks are more than an image and its mirror."""
        if images.workers is None and len(images) <= FEW_IMAGES:
            images = replace(images, workers=0)
        evaluation = build_eval_transform(self.transform_set)
        crops = [RandomCrop(self.transform_set.size)] * max(looks - 2, 0)
        return Decoder(images, [evaluation.transform, *crops], evaluation.min_side)

    def iterate_looks(self, images: LazyImages, rows: np.ndarray, digests: list[bytes], looks: int) -> Iterator[Tensor]:
        """Yield the features of some images in batches: (n, L, d) float16."""
        decoder = self.build_decoder(images, looks)
        size = min(GPU_BATCH if self.world.device.type == "cuda" else CPU_BATCH, FILE_IMAGES)
        # the seed is the image's content, so that its crops are the same in every data set
        seeds = [int.from_bytes(digest[:7]) for digest in digests]
        starts = range(0, len(rows), size)
        jobs = (
            [build_ordered_job(images, rows[start : start + size].tolist(), seeds[start : start + size])]
            for start in starts
        )
        for (views,) in decode_jobs(decoder, jobs, pin=False):
            plain, *cropped = views
            yield torch.stack([self.embed(view) for view in [plain, hflip(plain), *cropped][:looks]], dim=1)


def build_extractor(
    recipe: Recipe, weights: dict, trunk: FrozenEncoder, world: World, report: ProgressReport, cache: str | Path | None
) -> Extractor:
    """Build the extractor of a recipe's features; `weights` are source, sha256 and license of the encoder's weights.

    Features of other networks, weights, precisions or sizes are never mixed in the cache.
    """
    about = {
        "net": recipe.net,
        "weights": weights["source"],
        "sha256": weights["sha256"],
        "precision": recipe.precision,
    }
    net = recipe.build_net()
    assert isinstance(net, FrozenNet)
    return Extractor(
        trunk, net.trunk_dim, recipe.transform_set, about, world, cache_root(cache), report.note, report.progress
    )


def build_run_extractor(run: FinishedRun) -> Extractor:
    """Build the extractor of a frozen run, on the CPU and with the run's cache."""
    environment = run.environment
    with run.folder.report_damage("environment.json"):
        weights, cache = environment["weights"], environment["cache"]
        return build_extractor(run.recipe, weights, run.load_trunk(), SINGLE_PROCESS, SilentReport(), cache)


def load_test_features(
    run: FinishedRun, images: LazyImages, subset: str = "test", looks: int = TEST_LOOKS
) -> FeatureSet:
    """Return the features of images as a frozen run tests them, from the cache or computed again, on the CPU.

    `subset` names the images where the progress is shown; the first of the `looks` is the image as it is evaluated. With
    the looks of training, the cache holds those of its training images too. Raises LongtailError for an image that cannot
    be read.
    """
    extractor = build_run_extractor(run)
    lookup = extractor.look_up(images, looks, skip_bad=False)
    if lookup.errors:
        raise unreadable_error(
            lookup.errors, len(images), run.recipe.data if subset == "test" else f"the {subset} images"
        )
    return extractor.complete(subset, images, lookup)


def find_cached_features(run: FinishedRun, images: LazyImages) -> tuple[FeatureSet, np.ndarray]:
    """Return the features of training images as far as the cache of a frozen run holds them, and which, (N,) bool.

    Nothing is computed. Raises LongtailError for an image that cannot be read.
    """
    lookup = build_run_extractor(run).look_up(images, run.recipe.frozen_views, skip_bad=False)
    if lookup.errors:
        raise unreadable_error(lookup.errors, len(images), run.recipe.data)
    return FeatureSet(lookup.features, images.labels, images.digest(), images.index), lookup.is_held

"""Batches from a data set that lives on the device as uint8 and is augmented there in chunks of many batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from longtail.augment.transform import Compose, Draw, select_rows
from longtail.data.features import FeatureSet, RandomLook
from longtail.data.lazy import LazyImages
from longtail.data.samplers import SAMPLERS, Sampler
from longtail.data.seeding import derive_seed
from longtail.data.split import Split, Subset
from longtail.errors import LongtailError

EpochPlan = tuple[Tensor, list[list[Draw]]]  # positions of this rank's images, and the draws of each view for them


@dataclass
class Batch:
    """V views (N, 3, H, W), or features (N, d), of the same images.

    With labels y (N,), positions in the training set (N,), and the share of the stage that is done ().
    """

    views: list[Tensor]
    y: Tensor
    index: Tensor
    progress: Tensor

    def __getitem__(self, rows: slice) -> "Batch":
        """Return a batch of some of the images."""
        return Batch([view[rows] for view in self.views], self.y[rows], self.index[rows], self.progress)


@dataclass(frozen=True)
class Chunk:
    """Augmented uint8 views of some whole batches."""

    views: list[Tensor]
    y: Tensor
    index: Tensor
    batch_size: int

    def __len__(self) -> int:
        return len(self.y) // self.batch_size

    def batch(self, i: int, progress: Tensor) -> Batch:
        """Return the i-th batch, views still uint8."""
        rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
        return Batch([view[rows] for view in self.views], self.y[rows], self.index[rows], progress)


@dataclass(frozen=True)
class StreamedChunk:
    """A chunk that keeps no batches: call `batch` once for each batch, in order."""

    batches: Iterator[Batch]
    steps: int

    def __len__(self) -> int:
        return self.steps

    def batch(self, i: int, progress: Tensor) -> Batch:
        """Return the next batch, views still uint8."""
        batch = next(self.batches)
        return Batch(batch.views, batch.y, batch.index, progress)


class Loader:
    """A loader of the chunks of an epoch; the same seed, stage and epoch give the same chunks on every device.

    A last batch that is not full is left out; its images change with every epoch. Every rank draws order and augmentation
    of whole batches and computes its equal share of each batch. Raises LongtailError if the batch is larger than the
    training set.
    """

    def __init__(
        self,
        split: Split,
        transforms: Sequence[Compose | RandomLook],
        batch_size: int,
        seed: int,
        device: torch.device,
        chunk_size: int,
        rank: int = 0,
        world_size: int = 1,
    ):
        if batch_size > len(split.train):
            raise LongtailError(
                f"batch size {batch_size} is larger than the {len(split.train)} training images of {split.name}; "
                "ask for a smaller --batch-size"
            )
        self.counts, self.labels = split.classes.counts, split.train.labels
        self.y = split.train.labels.to(device)
        self.transforms, self.batch_size = list(transforms), batch_size // world_size
        self.seed, self.device = seed, device
        self.world_size, self.steps = world_size, len(split.train) // batch_size
        # places of this rank's images in the epoch: its share of batch 0, of batch 1, ...
        self.places = torch.arange(self.steps * batch_size).view(self.steps, world_size, -1)[:, rank].flatten()
        self.hold(split.train)
        self.chunk_size = max(chunk_size // self.batch_size, 1) * self.batch_size

    def hold(self, train: Subset) -> None:
        """Put the training images, or their features, on the device."""
        assert not isinstance(train, LazyImages)
        data = train.features if isinstance(train, FeatureSet) else train.images
        self.images, self.size = data.to(self.device), (data.shape[-2], data.shape[-1])

    def epoch(
        self, epoch: int, stage: int = 0, samplers: Sequence[str | Sampler] = ("instance",)
    ) -> Iterator[tuple[Chunk | StreamedChunk, ...]]:
        """Yield the epoch's chunks, a tuple with one chunk for each sampler."""
        plans = [self.plan_epoch(name, (self.seed, stage, epoch, i)) for i, name in enumerate(samplers)]
        for start in range(0, len(self.places), self.chunk_size):
            rows = slice(start, min(start + self.chunk_size, len(self.places)))
            yield tuple(self.build_chunk(order, draws, rows) for order, draws in plans)

    def plan_epoch(self, sampler: str | Sampler, key: tuple[int, ...]) -> EpochPlan:
        """Draw the order and the augmentation of an epoch from a key, and keep this rank's share."""
        generator = torch.Generator().manual_seed(derive_seed(*key))
        sample = sampler if callable(sampler) else SAMPLERS[sampler]
        order, total = sample(self.labels, self.counts, generator), len(self.places) * self.world_size
        # drawn for the whole epoch at once and for all ranks: neither chunk size nor world size changes a number
        draws = [transform.draw(total, self.size, generator) for transform in self.transforms]
        return order[self.places], [select_rows(draw, self.places) for draw in draws]

    def build_chunk(self, order: Tensor, draws: list[list[Draw]], rows: slice) -> Chunk:
        """Augment the images at some rows of the plan, one view for each transform."""
        index = order[rows].to(self.device)
        images = self.images[index]
        views = [
            transform.apply(images, select_rows(draw, rows))
            for transform, draw in zip(self.transforms, draws, strict=True)
        ]
        return Chunk(views, self.y[index], index, self.batch_size)

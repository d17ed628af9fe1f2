"""Batches from a data set that lives on the device as uint8 and is augmented there in chunks of many batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from longtail.augment.transform import Compose, select_rows
from longtail.data.samplers import SAMPLERS, Sampler
from longtail.data.seeding import derive_seed
from longtail.data.split import Split, TensorImages
from longtail.errors import LongtailError


@dataclass
class Batch:
    """V views (N, 3, H, W) of the same images, labels y (N,), positions in the training set (N,), share of the stage done ()."""

    views: list[Tensor]
    y: Tensor
    index: Tensor
    progress: Tensor

    def __getitem__(self, rows: slice) -> "Batch":
        """Some of its images."""
        return Batch([view[rows] for view in self.views], self.y[rows], self.index[rows], self.progress)


@dataclass(frozen=True)
class Chunk:
    """Augmented uint8 views of some whole batches; `batch(i)` is the i-th."""

    views: list[Tensor]
    y: Tensor
    index: Tensor
    batch_size: int

    def __len__(self) -> int:
        return len(self.y) // self.batch_size

    def batch(self, i: int, progress: Tensor) -> Batch:
        """The i-th batch, views still uint8."""
        rows = slice(i * self.batch_size, (i + 1) * self.batch_size)
        return Batch([view[rows] for view in self.views], self.y[rows], self.index[rows], progress)


class Loader:
    """Chunks of an epoch, the same for the same seed, stage and epoch, whatever the device and the chunk size.

    A last batch that would not be full is left out; the images of it change with every epoch. Of `ranks` processes each
    draws order and augmentation of whole batches and computes its own equal part of every one. Raises LongtailError if the
    batch is larger than the training set.
    """

    def __init__(
        self,
        split: Split,
        views: Sequence[Compose],
        batch_size: int,
        seed: int,
        device: torch.device,
        chunk: int,
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
        self.views, self.batch_size, self.seed, self.device = list(views), batch_size // world_size, seed, device
        self.world_size, self.steps = world_size, len(split.train) // batch_size
        self.own = torch.arange(self.steps * batch_size).view(self.steps, world_size, -1)[:, rank].flatten()
        self.hold(split.train)
        self.chunk = max(chunk // self.batch_size, 1) * self.batch_size

    def hold(self, train: TensorImages) -> None:
        """Put the images where batches are made of them."""
        self.images, self.size = train.images.to(self.device), tuple(train.images.shape[-2:])

    def epoch(
        self, epoch: int, stage: int = 0, samplers: Sequence[str | Sampler] = ("instance",)
    ) -> Iterator[tuple[Chunk, ...]]:
        """The epoch's chunks, a tuple with one chunk for each sampler."""
        plans = [self._plan(name, (self.seed, stage, epoch, place)) for place, name in enumerate(samplers)]
        for start in range(0, len(self.own), self.chunk):
            rows = slice(start, min(start + self.chunk, len(self.own)))
            yield tuple(self._chunk(order, draws, rows) for order, draws in plans)

    def _plan(self, sampler: str | Sampler, key: tuple[int, ...]) -> tuple[Tensor, list]:
        generator = torch.Generator().manual_seed(derive_seed(*key))
        order, total = (
            (sampler if callable(sampler) else SAMPLERS[sampler])(self.labels, self.counts, generator),
            len(self.own) * self.world_size,
        )
        draws = [view.draw(total, self.size, generator) for view in self.views]
        return order[self.own], [select_rows(draw, self.own) for draw in draws]

    def _chunk(self, order: Tensor, draws: list, rows: slice) -> Chunk:
        index = order[rows].to(self.device)
        images = self.images[index]
        views = [view.apply(images, select_rows(draw, rows)) for view, draw in zip(self.views, draws, strict=True)]
        return Chunk(views, self.y[index], index, self.batch_size)

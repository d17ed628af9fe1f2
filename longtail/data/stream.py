"""Batches from files that stay on the disk.

Every random number of a view comes from (seed, stage, epoch, sampler, place in the epoch), so batches are the same for any
number of workers, and after a resumption.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import tee

import torch
from torch import Tensor

from longtail.augment import TransformSet
from longtail.augment.transform import select_rows, to_device
from longtail.data.eval_transform import build_eval_transform
from longtail.data.lazy import LazyImages
from longtail.data.loader import Batch, Loader
from longtail.data.samplers import Sampler
from longtail.data.seeding import derive_seed
from longtail.data.split import Split
from longtail.data.workers import Decoder, Job, decode_jobs

READ_EVERY = (1, 32)  # steps between readings of the loss, for which a GPU is waited for; on a CPU, on a GPU


@dataclass(frozen=True)
class StreamedChunk:
    """A chunk of which nothing is kept: `batch` must be called once for each of its batches, in order."""

    batches: Iterator[Batch]
    steps: int

    def __len__(self) -> int:
        return self.steps

    def batch(self, i: int, progress: Tensor) -> Batch:
        """The next batch, views still uint8."""
        found = next(self.batches)
        return Batch(found.views, found.y, found.index, progress)


class StreamLoader(Loader):
    """A `Loader` of images left in files: views of photographs are made by workers, all others on the device.

    The latter are equal to those of images in memory, bit for bit.
    """

    def __init__(
        self,
        split: Split,
        family: TransformSet,
        views: Sequence[str],
        batch_size: int,
        seed: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
    ):
        self.family, chosen = family, [family.transforms[name] for name in views]
        super().__init__(
            split, [] if family.eval_transform else chosen, batch_size, seed, device, batch_size, rank, world_size
        )
        sight = build_eval_transform(family)
        self.decoder = Decoder(split.train, chosen if family.eval_transform else [sight.view], sight.min_side)
        if family.eval_transform:
            for view in chosen:
                view.steps()  # workers that are forked share what it imports

    def hold(self, files: LazyImages) -> None:
        self.size = self.family.size, self.family.size

    def epoch(
        self, epoch: int, stage: int = 0, samplers: Sequence[str | Sampler] = ("instance",)
    ) -> Iterator[tuple[StreamedChunk, ...]]:
        keys = [(self.seed, stage, epoch, place) for place in range(len(samplers))]
        plans = [self._plan(name, key) for name, key in zip(samplers, keys, strict=True)]
        parts = [slice(start, start + self.batch_size) for start in range(0, len(self.own), self.batch_size)]
        jobs = (
            [self.job(order[rows], self.own[rows], key) for (order, _), key in zip(plans, keys, strict=True)]
            for rows in parts
        )
        found = tee(decode_jobs(self.decoder, jobs, pin=self.device.type == "cuda"), len(plans))
        streams = [self.batches(found[place], place, plan) for place, plan in enumerate(plans)]
        every = READ_EVERY[self.device.type == "cuda"]
        for start in range(0, len(parts), every):
            yield tuple(StreamedChunk(stream, min(every, len(parts) - start)) for stream in streams)

    def job(self, order: Tensor, places: Tensor, key: tuple[int, ...]) -> Job:
        """The images of a batch, each with the seed of its place in the epoch."""
        return Job(order.tolist(), [derive_seed(*key, place) for place in places.tolist()])

    def batches(self, found: Iterator[list[list[Tensor]]], place: int, plan: tuple[Tensor, list]) -> Iterator[Batch]:
        """The batches of one sampler, on the device."""
        order, draws = plan[0].to(self.device), [[to_device(d, self.device) for d in view] for view in plan[1]]
        for step, jobs in enumerate(found):
            rows = slice(step * self.batch_size, (step + 1) * self.batch_size)
            views = [images.to(self.device, non_blocking=True) for images in jobs[place]]
            if self.views:
                views = [
                    view.apply(views[0], select_rows(draw, rows)) for view, draw in zip(self.views, draws, strict=True)
                ]
            index = order[rows]
            yield Batch(views, self.y[index], index, torch.empty(()))

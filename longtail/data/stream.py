"""Batches from files that stay on the disk.

Every random number of a view comes from (seed, stage, epoch, sampler, place in the epoch). A worker's generator would give
other numbers for another number of workers, and after a resumption; a place does not.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import tee

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from longtail.augment import Compose, TransformSet
from longtail.augment.transform import select_rows, to_device
from longtail.data.eval_transform import build_eval_transform
from longtail.data.lazy import LazyImages
from longtail.data.loader import Batch, EpochPlan, Loader, StreamedChunk
from longtail.data.samplers import Sampler
from longtail.data.seeding import derive_seed
from longtail.data.split import Split, Subset
from longtail.data.workers import Decoder, Job, decode_jobs

CPU_READ_EVERY, GPU_READ_EVERY = 1, 32  # steps between readings of the loss, which wait for a GPU


class StreamLoader(Loader):
    """A `Loader` of images in files: workers make the views of photographs, the device makes the views of squares.

    Views of squares are equal, bit for bit, to the views of the same images in memory.
    """

    def __init__(
        self,
        split: Split,
        transform_set: TransformSet,
        views: Sequence[str],
        batch_size: int,
        seed: int,
        device: torch.device,
        rank: int = 0,
        world_size: int = 1,
    ):
        assert isinstance(split.train, LazyImages)
        self.transform_set, chosen = transform_set, [transform_set.transforms[name] for name in views]
        composed = [transform for transform in chosen if isinstance(transform, Compose)]
        photo = [transform for transform in chosen if not isinstance(transform, Compose)]
        super().__init__(split, composed, batch_size, seed, device, batch_size, rank, world_size)
        for transform in photo:
            transform.steps()  # imports torchvision and timm once, before workers are forked
        evaluation = build_eval_transform(transform_set)
        by_workers: list[Callable[[Image.Image], np.ndarray]] = [*photo] or [evaluation.transform]
        self.decoder = Decoder(split.train, by_workers, None if photo else evaluation.min_side)

    def hold(self, train: Subset) -> None:
        """Keep the images in their files; only the size of a decoded image is needed."""
        self.size = self.transform_set.size, self.transform_set.size

    def epoch(
        self, epoch: int, stage: int = 0, samplers: Sequence[str | Sampler] = ("instance",)
    ) -> Iterator[tuple[StreamedChunk, ...]]:
        """Yield the epoch's chunks, a tuple with one chunk for each sampler; images are decoded when batches are read."""
        keys = [(self.seed, stage, epoch, i) for i in range(len(samplers))]
        plans = [self.plan_epoch(name, key) for name, key in zip(samplers, keys, strict=True)]
        steps = [slice(start, start + self.batch_size) for start in range(0, len(self.places), self.batch_size)]
        jobs = (
            [self.build_job(order[rows], self.places[rows], key) for (order, _), key in zip(plans, keys, strict=True)]
            for rows in steps
        )
        # One pool of workers decodes the batches of all samplers, step by step. `tee` gives each sampler a stream of its
        # batches and holds a step only until the last sampler has taken it.
        decoded = tee(decode_jobs(self.decoder, jobs, pin=self.device.type == "cuda"), len(plans))
        streams = [self.iterate_sampler(decoded[i], i, plan) for i, plan in enumerate(plans)]
        every = GPU_READ_EVERY if self.device.type == "cuda" else CPU_READ_EVERY
        for start in range(0, len(steps), every):
            yield tuple(StreamedChunk(stream, min(every, len(steps) - start)) for stream in streams)

    def build_job(self, order: Tensor, places: Tensor, key: tuple[int, ...]) -> Job:
        """Build the job that decodes a batch, each image with the seed of its place in the epoch."""
        return Job(order.tolist(), [derive_seed(*key, place) for place in places.tolist()])

    def iterate_sampler(self, decoded: Iterator[list[list[Tensor]]], number: int, plan: EpochPlan) -> Iterator[Batch]:
        """Yield the batches of one sampler on the device; `decoded` holds the images of all samplers for each step."""
        order, draws = plan[0].to(self.device), [[to_device(d, self.device) for d in view] for view in plan[1]]
        for step, jobs in enumerate(decoded):
            rows = slice(step * self.batch_size, (step + 1) * self.batch_size)
            views = [images.to(self.device, non_blocking=True) for images in jobs[number]]
            if self.transforms:  # the workers made squares, one for each image
                views = [
                    transform.apply(views[0], select_rows(draw, rows))
                    for transform, draw in zip(self.transforms, draws, strict=True)
                ]
            index = order[rows]
            yield Batch(views, self.y[index], index, torch.empty(()))

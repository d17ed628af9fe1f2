"""Processes that decode image files while the device computes; what comes back is the same for any number of them."""

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from longtail.augment import TransformSet
from longtail.data.decode import BadImage, suppress_pillow_warnings
from longtail.data.eval_transform import build_eval_transform
from longtail.data.lazy import LazyImages
from longtail.data.seeding import derive_seed, preserve_random_state, seed_everything
from longtail.errors import LongtailError

MAX_WORKERS = 16


def count_workers(asked: int | None) -> int:
    """Processes that decode: as asked, else a core each but for the one that trains; none where none may be started.

    Raises LongtailError for a number below 0.
    """
    if asked is not None and (type(asked) is not int or asked < 0):
        raise LongtailError(f"workers is {asked!r}; it is a number of processes, or 0 for none")
    if multiprocessing.current_process().daemon:
        return 0
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1, 0), MAX_WORKERS)


@dataclass(frozen=True)
class Job:
    """Images to decode: their positions, and the seed of each one's views if those are random."""

    rows: list[int]
    seeds: list[int]


@dataclass(frozen=True)
class Decoder:
    """What a worker does: each view of each image of some jobs, -> for each job its views (N, 3, S, S) uint8.

    An image that cannot be read is returned as the message, as an exception would lose its type on the way.
    """

    files: LazyImages
    views: Sequence[Callable[[Image.Image], np.ndarray]]
    min_side: int | None  # see `decode.read`

    def __getitem__(self, jobs: list[Job]) -> list[list[Tensor]] | str:
        try:
            with suppress_pillow_warnings(), preserve_random_state():
                return [self.decode(job) for job in jobs]
        except BadImage as error:
            return str(error)

    def decode(self, job: Job) -> list[Tensor]:
        """One job's views."""
        found = [[] for _ in self.views]
        for row, seed in zip(job.rows, job.seeds, strict=True):
            image = self.files.read(row, self.min_side)
            for number, view in enumerate(self.views):
                seed_everything(derive_seed(seed, number))
                found[number].append(view(image).transpose(2, 0, 1))
        return [torch.from_numpy(np.stack(images)) for images in found]


def decode_jobs(decoder: Decoder, jobs: Iterable[list[Job]], pin: bool) -> Iterator[list[list[Tensor]]]:
    """Each entry of jobs decoded, in order, at most two ahead for every worker.

    Raises LongtailError with the path of an image that cannot be read, and if a worker is killed.
    """
    workers = count_workers(decoder.files.workers)
    with warnings.catch_warnings():  # about more workers than cores, which is the user's choice
        warnings.simplefilter("ignore")
        loader = DataLoader(
            decoder,
            batch_size=None,
            sampler=jobs,
            num_workers=workers,
            collate_fn=identity,
            pin_memory=pin,
            generator=torch.Generator(),  # its draw is not to be torch's own
        )
    try:
        for found in loader:
            if isinstance(found, str):
                raise LongtailError(
                    f"{found}; mend or remove that image, or train anew with --skip-bad, which leaves such out"
                )
            yield found
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise LongtailError(
            f"one of the {workers} processes that decode images was killed, as happens where memory (or /dev/shm) runs out; "
            "ask for fewer --workers, or --workers 0"
        ) from error


def identity(found: object) -> object:
    """What the decoder returns is a batch already."""
    return found


def iterate_pixels(files: LazyImages, family: TransformSet, batch: int) -> Iterator[Tensor]:
    """All images in their order as they are tested: (N, 3, S, S) uint8, `batch` at a time; of none, one batch of none."""
    if not len(files):
        yield torch.empty((0, 3, family.size, family.size), dtype=torch.uint8)
        return
    sight = build_eval_transform(family)
    starts = range(0, len(files), batch)
    jobs = [[Job(list(rows), [0] * len(rows))] for rows in (range(s, min(s + batch, len(files))) for s in starts)]
    for ((images,),) in decode_jobs(Decoder(files, [sight.view], sight.min_side), jobs, pin=False):
        yield images

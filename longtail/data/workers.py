"""Worker processes that decode image files while the device computes; results do not depend on their number."""

import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from longtail.augment import TransformSet
from longtail.data.decode import BadImage, Source, read_image, suppress_pillow_warnings
from longtail.data.eval_transform import build_eval_transform
from longtail.data.lazy import LazyImages
from longtail.data.parquet import ParquetIndex
from longtail.data.seeding import derive_seed, preserve_random_state, seed_everything
from longtail.errors import LongtailError

T = TypeVar("T")

MAX_WORKERS = 16


def count_workers(asked: int | None) -> int:
    """Return the number of processes that decode: as asked, else one for each core except the one that trains.

    A daemonic process may start none and returns 0. Raises LongtailError for a number below 0.
    """
    if asked is not None and (type(asked) is not int or asked < 0):
        raise LongtailError(f"workers is {asked!r}; it must be a number of processes, or 0 for none")
    if multiprocessing.current_process().daemon:
        return 0
    if asked is not None:
        return asked
    # a container or a batch system may allow fewer cores than the machine has, and ranks share them
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(max(cores // int(os.environ.get("LOCAL_WORLD_SIZE", "1")) - 1, 0), MAX_WORKERS)


@dataclass(frozen=True)
class Job:
    """Images to decode: their positions, a seed for the random views of each, and their sources, where they are read."""

    rows: list[int]
    seeds: list[int]
    sources: list[Source] | None = None


@dataclass(frozen=True)
class Decoder(Dataset):
    """The data set that workers index with a list of jobs: -> for each job its views (N, 3, S, S) uint8.

    An unreadable image gives its message instead, since the error would lose its type on the way between processes.
    """

    images: LazyImages
    transforms: Sequence[Callable[[Image.Image], np.ndarray]]
    min_side: int | None  # for `decode.read_image`

    def __getitem__(self, jobs: list[Job]) -> list[list[Tensor]] | str:
        try:
            # without workers this runs in the caller's process, whose random state must stay as it is
            with suppress_pillow_warnings(), preserve_random_state():
                return [self.decode(job) for job in jobs]
        except BadImage as error:
            return str(error)

    def decode(self, job: Job) -> list[Tensor]:
        """Decode the images of one job, one view (N, 3, S, S) for each transform."""
        views: list[list[np.ndarray]] = [[] for _ in self.transforms]
        sources = job.sources or map(self.images.index.source, job.rows)
        for row, seed, source in zip(job.rows, job.seeds, sources, strict=True):
            image = read_image(source, self.images.name(row), self.min_side)
            for number, transform in enumerate(self.transforms):
                seed_everything(derive_seed(seed, number))
                views[number].append(transform(image).transpose(2, 0, 1))
        return [torch.from_numpy(np.stack(pixels)) for pixels in views]


def build_ordered_job(images: LazyImages, rows: list[int], seeds: list[int]) -> Job:
    """Build the job that decodes images in reading order.

    This process reads the images of parquet files, so that each group of rows is read once and not by every worker.
    """
    is_parquet = isinstance(images.index, ParquetIndex)
    return Job(rows, seeds, [images.index.source(row) for row in rows] if is_parquet else None)


def decode_jobs(decoder: Decoder, jobs: Iterable[list[Job]], pin: bool) -> Iterator[list[list[Tensor]]]:
    """Yield each entry of jobs decoded, in order, at most two ahead for every worker.

    Raises LongtailError with the path of an image that cannot be read, and if a worker is killed.
    """
    workers = count_workers(decoder.images.workers)
    with warnings.catch_warnings():  # torch warns of more workers than cores, which is the user's choice
        warnings.simplefilter("ignore")
        loader: DataLoader = DataLoader(
            decoder,
            batch_size=None,
            sampler=jobs,
            num_workers=workers,
            collate_fn=return_unchanged,
            pin_memory=pin,
            generator=torch.Generator(),  # DataLoader draws a seed, which must not come from torch's global generator
        )
    try:
        for decoded in loader:
            if isinstance(decoded, str):
                raise LongtailError(
                    f"{decoded}; repair or remove that image, or train again with --skip-bad, which leaves it out"
                )
            yield decoded
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):  # an error inside a worker begins with "Caught"
            raise
        raise LongtailError(
            f"one of the {workers} processes that decode images was killed, as happens when memory (or /dev/shm) runs out; "
            "ask for fewer --workers, or --workers 0"
        ) from error


def return_unchanged(decoded: T) -> T:
    """Return the decoder's output, which is a batch already; workers need a function that can be pickled."""
    return decoded


def iterate_pixels(images: LazyImages, transform_set: TransformSet, batch_size: int) -> Iterator[Tensor]:
    """Yield all images in order as they are evaluated, (N, 3, S, S) uint8, `batch_size` at a time.

    An empty set yields one empty batch, so that callers always have a shape.
    """
    if not len(images):
        yield torch.empty((0, 3, transform_set.size, transform_set.size), dtype=torch.uint8)
        return
    evaluation = build_eval_transform(transform_set)
    batches = (range(start, min(start + batch_size, len(images))) for start in range(0, len(images), batch_size))
    jobs = ([build_ordered_job(images, list(rows), [0] * len(rows))] for rows in batches)
    decoder = Decoder(images, [evaluation.transform], evaluation.min_side)
    for ((pixels,),) in decode_jobs(decoder, jobs, pin=False):
        yield pixels

"""Seconds of calls, and of images that are decoded while the device computes."""

import os
import time
from collections.abc import Callable

import torch
from torch import Tensor

from longtail.data import LazyImages, count_workers
from longtail.data.decode import hash_source
from longtail.data.workers import Decoder, Job
from longtail.distributed import World


def time_call(call: Callable[[], object]) -> float:
    """Return the seconds of a call, after a first one that is not timed."""
    call()
    return time_once(call)


def time_once(call: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def time_decoding(decoder: Decoder) -> tuple[Tensor, float]:
    """Return the first view (n, 3, S, S) of the images of a decoder, and the seconds that an image takes."""
    n = len(decoder.images)
    decoder[[Job([0], [0])]]  # the first image imports what transforms need
    began = time.perf_counter()
    decoded = decoder[[Job(list(range(n)), list(range(n)))]]
    assert not isinstance(decoded, str)  # the images were read before
    return decoded[0][0], (time.perf_counter() - began) / n


def time_checks(sample: LazyImages) -> float:
    """Return the seconds in which the content of an image is hashed and the header read."""

    def check() -> None:
        for i in range(len(sample)):
            hash_source(sample.index.source(i), sample.name(i))
            sample.read_header(i)

    return time_once(check) / len(sample)


def overlap(decode: float, compute: float, images: LazyImages, world: World) -> float:
    """Return the seconds of an image that workers decode while the device computes another; both may share cores."""
    workers = count_workers(images.workers)
    if not workers:
        return decode + compute
    cores = os.cpu_count() or 1
    busy = compute * torch.get_num_threads() if world.device.type == "cpu" else 0.0
    return max(decode / workers, compute, (decode + busy) / cores)

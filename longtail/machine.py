"""This machine: bfloat16 instructions, threads for tiny images, and the memory that the C library keeps."""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from longtail.errors import LongtailError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h
TINY_SIDE = 16


def has_bf16(device: torch.device) -> bool:
    """Return whether a device computes bfloat16 in hardware; a CPU that emulates it is ten times slower."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def check_precision(precision: str, device: torch.device) -> None:
    """Raise LongtailError for bf16 on a processor that emulates it, unless LONGTAIL_EMULATE_BF16 is set."""
    if precision == "bf16" and not has_bf16(device) and not os.environ.get("LONGTAIL_EMULATE_BF16"):
        raise LongtailError(
            "precision is bf16; this processor has no bf16 instructions and would be far slower than with "
            "fp32. Leave --precision out, or set LONGTAIL_EMULATE_BF16=1 to train in bf16 all the same"
        )


@contextmanager
def set_tf32(tf32: bool) -> Iterator[None]:
    """Set TF32 inside and restore the caller's settings afterwards, made by `allow_tf32` or the newer `fp32_precision`.

    The older flags are kept where they suffice: once `fp32_precision` was set, torch.export raises (torch 2.15).
    """
    backends: Any = torch.backends
    matmul, cudnn = backends.cuda.matmul, backends.cudnn
    places: tuple[Any, ...] = (matmul, cudnn)
    name, inside = "allow_tf32", list[Any]((tf32, tf32))
    try:
        before = [place.allow_tf32 for place in places]
    except RuntimeError:  # the flags cannot express what `fp32_precision` was set to
        places = (backends, matmul, cudnn, cudnn.conv, cudnn.rnn)  # a wider one changes those after it
        name, inside = "fp32_precision", ["tf32" if tf32 else "ieee"] * len(places)
        before = [place.fp32_precision for place in places]
    try:
        for place, value in zip(places, inside, strict=True):
            setattr(place, name, value)
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            setattr(place, name, value)


def default_threads(side: int) -> int:
    """Return the CPU threads for square images of a side in pixels: one up to 16, else as torch has them.

    On tiny tensors a second thread gains nothing on a quiet machine, and on a busy one the threads wait for each other
    by spinning, which takes ten times as long.
    """
    return 1 if side <= TINY_SIDE else torch.get_num_threads()


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next tensor; commands call this, the library never does.

    Fresh pages cost a fault each, and a training step frees and allocates the same sizes again: 1.1x measured.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)

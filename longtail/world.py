"""Where a run computes: one CPU or one GPU."""

import ctypes
import os
import platform
import resource
import sys
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata

import torch

from longtail.errors import LongtailError

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


@dataclass(frozen=True)
class World:
    """The device of this process, and how many images are augmented at once there."""

    device: torch.device

    @property
    def chunk(self) -> int:
        """Images augmented in one call: what stays in a CPU's cache, or a GPU's whole epoch."""
        return 1024 if self.device.type == "cpu" else 32_768

    def fork_random(self) -> AbstractContextManager:
        """A context that gives torch's random numbers back to the caller as they were."""
        return torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else [])

    def peak_memory(self) -> int:
        """Largest memory of this process so far, in bytes: of the GPU, or the resident set on a CPU."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def describe(self) -> dict:
        """Machine and versions, for `environment.json`."""
        on_gpu = self.device.type == "cuda"
        return {
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "longtail": metadata.version("longtail"),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "platform": platform.platform(),
            "device": str(self.device),
            "device_name": torch.cuda.get_device_name(self.device) if on_gpu else platform.machine(),
            "threads": torch.get_num_threads(),
            "cores": os.cpu_count(),
        }


def full_precision(on: bool) -> None:
    """Whether a GPU multiplies float32 numbers whole, or rounds them to TF32, which is faster."""
    how = "ieee" if on else "tf32"
    torch.backends.cuda.matmul.fp32_precision = how
    torch.backends.cudnn.conv.fp32_precision = how


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next tensor: faulting in fresh pages costs as much as many an operation."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def start(device: str = "auto", threads: int | None = None) -> World:
    """The world of this process; `auto` takes a GPU if there is one. Raises LongtailError for a device that is not there."""
    if sys.platform == "linux":
        keep_freed_memory()
    if threads is not None:
        if not 1 <= threads <= (os.cpu_count() or 1):
            raise LongtailError(f"threads is {threads}; this machine has 1 to {os.cpu_count()}")
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda") and not device.startswith("cuda:"):
        raise LongtailError(f"device is '{device}'; it takes auto, cpu, cuda or cuda:N")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise LongtailError(f"device {device} was asked for but torch sees no GPU here; leave --device out")
    return World(torch.device(device))

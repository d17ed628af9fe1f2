"""Where a run computes: one CPU, one GPU, or as many processes as torchrun started."""

import atexit
import ctypes
import os
import platform
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed import PrefixStore
from torch.nn.parallel import DistributedDataParallel

from longtail.errors import LongtailError
from longtail.nets import gather, join_batch_norm, sharing

T = TypeVar("T")

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


class LostProcess(LongtailError):
    """Another process of the run cannot be reached; every one that is left says so."""


def rank() -> int:
    """The number of this process among those of torchrun; 0 speaks and writes for all."""
    return int(os.environ.get("RANK", "0"))


def processes() -> int:
    """How many processes torchrun started for this run; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@dataclass(frozen=True)
class World:
    """The device of this process, its rank among so many, and how many images are augmented at once there."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def name(self) -> str:
        """What a person is told of it."""
        return f"{self.device.type} x {self.size}" if self.size > 1 else str(self.device)

    def wrap(self, method: nn.Module) -> nn.Module:
        """The method as a step calls it: its gradients become the mean over processes."""
        if self.size == 1:
            return method
        join_batch_norm(method, self.device)
        # of a head with one output; sides of length 1 may have any stride
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch 2.15 renames the argument
            return DistributedDataParallel(method, broadcast_buffers=False, gradient_as_bucket_view=True)

    @contextmanager
    def one_batch(self, wrapped: nn.Module, last: bool) -> Iterator[None]:
        """For a part of a step, whose batch all processes have; their gradients are added up in the last part."""
        with sharing(), nullcontext() if last or self.size == 1 else wrapped.no_sync():
            yield

    def rows(self, n: int) -> slice:
        """This process's share of n rows: equal ones but for the last."""
        share = -(-n // self.size)
        return slice(min(self.rank * share, n), min((self.rank + 1) * share, n))

    def gather(self, own: Tensor, dim: int = 0, n: int | None = None) -> Tensor:
        """All rows along `dim`, in order, from each process's own; n is their number where shares differ."""
        if self.size == 1:
            return own
        n = own.shape[dim] * self.size if n is None else n
        missing = -(-n // self.size) - own.shape[dim]
        filler = own.new_zeros([missing if i == dim else side for i, side in enumerate(own.shape)])
        return gather(torch.cat([own, filler], dim), dim).narrow(dim, 0, n)

    def together(self, make: Callable[[], T]) -> T:
        """What `make` gives, called in every process; a LongtailError in any is raised in all."""
        if self.size == 1:
            return make()
        found, errors = attempt(make), [None] * self.size
        distributed.all_gather_object(errors, found if isinstance(found, LongtailError) else None)
        for number, error in enumerate(errors):
            if error:
                raise LongtailError(f"{error}" if number == 0 else f"process {number} of {self.size}: {error}")
        return found

    def in_turn(self, make: Callable[[], T]) -> T:
        """What `make` gives, called in process 0, which may download, before the others."""
        first = self.together(lambda: make() if self.rank == 0 else None)
        return self.together(lambda: make() if self.rank else first) if self.size > 1 else first

    def from_lead(self, make: Callable[[], T]) -> T:
        """What `make` gives, called in process 0 only; a LongtailError there is raised in all."""
        if self.size == 1:
            return make()
        box = [attempt(make) if self.rank == 0 else None]
        distributed.broadcast_object_list(box)
        if isinstance(box[0], LongtailError):
            raise type(box[0])(str(box[0]))
        return box[0]

    @contextmanager
    def unbroken(self) -> Iterator[None]:
        """Say on one line that another process is gone, which shows in whatever was waiting for it."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
                raise
            raise LostProcess(
                f"process {self.rank} of {self.size} lost another one, and the run ends; finished epochs are kept, "
                "the same command with --resume goes on"
            ) from error

    def chunk(self, size: int) -> int:
        """Images of a side augmented in one call: what stays in a CPU's cache, or a GPU's whole epoch up to 1 GiB."""
        return 1024 if self.device.type == "cpu" else max(min(2**30 // (3 * size**2), 32_768), 1)

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
            "processes": self.size,
        }


ALONE = World(torch.device("cpu"))


def attempt(make: Callable[[], T]) -> T | LongtailError:
    """What `make` gives, or the LongtailError it raises."""
    try:
        return make()
    except LongtailError as error:
        return error


def full_precision(on: bool) -> None:
    """Whether a GPU multiplies float32 numbers whole, or rounds them to TF32, which is faster."""
    torch.backends.cuda.matmul.allow_tf32 = not on  # the newer fp32_precision makes torch.export raise (torch 2.15)
    torch.backends.cudnn.allow_tf32 = not on


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next tensor: faulting in fresh pages costs as much as many an operation."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def start(device: str | torch.device = "auto", threads: int | None = None) -> World:
    """The world of this process; `auto` takes a GPU if there is one. Raises LongtailError for a device that is not there."""
    if sys.platform == "linux":
        keep_freed_memory()
    if threads is not None:
        if type(threads) is not int or not 1 <= threads <= (os.cpu_count() or 1):
            raise LongtailError(f"threads is {threads}; this machine has 1 to {os.cpu_count()}")
        torch.set_num_threads(threads)
    device = str(device)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda") and not device.startswith("cuda:"):
        raise LongtailError(f"device is '{device}'; it takes auto, cpu, cuda or cuda:N")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise LongtailError(f"device {device} was asked for but torch sees no GPU here; leave --device out")
    number, gpus = device.partition(":")[2], torch.cuda.device_count()
    if number and not (number.isdigit() and int(number) < gpus):
        raise LongtailError(f"device {device} is not there; torch sees {gpus} GPU{'s' * (gpus != 1)}, cuda:0 the first")
    if processes() > 1:
        return join(device, processes())
    if number:
        torch.cuda.set_device(int(number))  # streams and graphs belong to the current one
    return World(torch.device(device))


def join(device: str, size: int) -> World:
    """Meet the other processes, each with a GPU of its own or with its part of the CPU."""
    if ":" in device:
        raise LongtailError(f"device {device} is one GPU but there are {size} processes; ask for cuda")
    here = torch.device(device)
    if device == "cuda":
        local = int(os.environ["LOCAL_RANK"])
        if local >= torch.cuda.device_count():
            raise LongtailError(f"{local + 1} processes or more share {torch.cuda.device_count()} GPUs; start fewer")
        here = torch.device("cuda", local)
        torch.cuda.set_device(here)
    if not distributed.is_initialized():
        try:
            store = PrefixStore(attempt_number(), next(distributed.rendezvous("env://"))[0])
            backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
            distributed.init_process_group(backend, store=store, rank=rank(), world_size=size)
        except (RuntimeError, ValueError) as error:
            line = str(error).splitlines()[0]
            raise LostProcess(
                f"the {size} processes did not find each other: {line}; start them by torchrun"
            ) from error
        atexit.register(distributed.destroy_process_group)
    return World(here, rank(), size)


def attempt_number() -> str:
    """Which start of torchrun's this is: after a restart its store still has the addresses of the processes before.

    Machines count their own restarts only, so for several of them it stays the same and docs/many-machines.md says what to do.
    """
    alone = os.environ.get("GROUP_WORLD_SIZE") == "1"
    return os.environ["TORCHELASTIC_RESTART_COUNT"] if alone else "0"

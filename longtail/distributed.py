"""Where a run computes: one CPU, one GPU, or the processes that torchrun started.

On one process every method of `World` returns its input unchanged, so the training loop has no branch for it.
"""

import atexit
import os
import platform
import resource
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed import PrefixStore
from torch.nn.parallel import DistributedDataParallel

import longtail
from longtail.errors import LongtailError, LostProcess
from longtail.machine import set_tf32
from longtail.nets import all_gather, convert_sync_batch_norm, shared_batch
from longtail.ranks import get_rank, get_restart_id, get_world_size
from longtail.wording import format_count

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """The device of this process, its rank, the number of processes, and its CPU threads (None: as torch has them)."""

    device: torch.device
    rank: int = 0
    size: int = 1
    threads: int | None = None

    @property
    def display_name(self) -> str:
        """Return the device name for display."""
        return f"{self.device.type} x {self.size}" if self.size > 1 else str(self.device)

    @contextmanager
    def session(self, tf32: bool = False) -> Iterator[None]:
        """Apply the run's threads, TF32 setting and random state inside, and restore the caller's afterwards.

        A library must not change its caller's process; torch keeps all of these in globals.
        """
        threads = torch.get_num_threads()
        devices = [self.device] if self.device.type == "cuda" else []
        try:
            torch.set_num_threads(self.threads or threads)
            with set_tf32(tf32), torch.random.fork_rng(devices=devices), warnings.catch_warnings():
                yield
        finally:
            torch.set_num_threads(threads)

    def wrap(self, method: nn.Module) -> nn.Module:
        """Return the method in DistributedDataParallel, with its batch norm synchronized in place; on one process, the method."""
        if self.size == 1:
            return method
        convert_sync_batch_norm(method, self.device)
        # a head with one output has sides of length 1, which may have any stride
        warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # torch 2.15 renames the argument
            return DistributedDataParallel(method, broadcast_buffers=False, gradient_as_bucket_view=True)

    @contextmanager
    def micro_batch(self, wrapped: nn.Module, is_last: bool) -> Iterator[None]:
        """Synchronize gradients only on the last micro-batch of a step, and let encoders compute this rank's rows only."""
        synchronized: AbstractContextManager[None] = nullcontext()
        if isinstance(wrapped, DistributedDataParallel) and not is_last:
            synchronized = wrapped.no_sync()
        with shared_batch(), synchronized:
            yield

    def shard(self, n: int) -> slice:
        """Return this process's share of n rows; all shares are equal but the last."""
        share = -(-n // self.size)
        return slice(min(self.rank * share, n), min((self.rank + 1) * share, n))

    def all_gather(self, rows: Tensor, dim: int = 0, n: int | None = None) -> Tensor:
        """Gather the rows of all ranks along `dim`, in order; n is their total number where shards differ in size."""
        if self.size == 1:
            return rows
        n = rows.shape[dim] * self.size if n is None else n
        # torch gathers tensors of one shape only, so the last shard is padded and the padding cut off again
        missing = -(-n // self.size) - rows.shape[dim]
        padding = rows.new_zeros([missing if i == dim else side for i, side in enumerate(rows.shape)])
        return all_gather(torch.cat([rows, padding], dim), dim).narrow(dim, 0, n)

    def run_everywhere(self, make: Callable[[], T]) -> T:
        """Call `make` in every process and return its result; a LongtailError in one is raised in all.

        A process that raised alone would leave the others waiting in the next collective.
        """
        if self.size == 1:
            return make()
        found: Any = catch_error(make)
        errors: list[LongtailError | None] = [None] * self.size
        distributed.all_gather_object(errors, found if isinstance(found, LongtailError) else None)
        for number, error in enumerate(errors):
            if error:
                raise LongtailError(f"{error}" if number == 0 else f"process {number} of {self.size}: {error}")
        return found

    def main_first(self, make: Callable[[], T]) -> T:
        """Call `make` in rank 0, which may download, and then in the other processes; return its result."""
        first: Any = self.run_everywhere(lambda: make() if self.rank == 0 else None)
        return self.run_everywhere(lambda: make() if self.rank else first) if self.size > 1 else first

    def on_main(self, make: Callable[[], T]) -> T:
        """Call `make` in rank 0 only and return its result everywhere; a LongtailError there is raised in all."""
        if self.size == 1:
            return make()
        box: list[Any] = [catch_error(make) if self.rank == 0 else None]
        distributed.broadcast_object_list(box)
        if isinstance(box[0], LongtailError):
            raise box[0]
        return box[0]

    @contextmanager
    def report_lost_process(self) -> Iterator[None]:
        """Raise LostProcess, one clear line, where a collective fails because another process is gone."""
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
                raise
            raise LostProcess(
                f"process {self.rank} of {self.size} lost another one, and the run ends; finished epochs are kept, "
                "the same command with --resume goes on"
            ) from error

    def chunk_size(self, side: int) -> int:
        """Return the images augmented in one call: 1024 on a CPU, about 1 GiB of uint8 on a GPU but at most 32,768."""
        return 1024 if self.device.type == "cpu" else max(min(2**30 // (3 * side**2), 32_768), 1)

    def peak_memory(self) -> int:
        """Return the largest memory of this process so far in bytes: GPU memory, or the resident set on a CPU."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

    def describe(self) -> dict:
        """Return the machine and versions for `environment.json`."""
        is_gpu = self.device.type == "cuda"
        return {
            "began": datetime.now(UTC).isoformat(timespec="seconds"),
            "longtail": longtail.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "platform": platform.platform(),
            "device": str(self.device),
            "device_name": torch.cuda.get_device_name(self.device) if is_gpu else platform.machine(),
            "threads": self.threads or torch.get_num_threads(),
            "cores": os.cpu_count(),
            "processes": self.size,
        }


SINGLE_PROCESS = World(torch.device("cpu"))


def catch_error(make: Callable[[], T]) -> T | LongtailError:
    """Return the result of `make`, or the LongtailError it raises."""
    try:
        return make()
    except LongtailError as error:
        return error


def init_world(device: str | torch.device = "auto", threads: int | None = None) -> World:
    """Return the world of this process; `auto` takes a GPU if there is one.

    Raises LongtailError for a device that is not there or more threads than cores.
    """
    if threads is not None and (type(threads) is not int or not 1 <= threads <= (os.cpu_count() or 1)):
        raise LongtailError(f"threads is {threads}; this machine has 1 to {os.cpu_count()}")
    device = str(device)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda") and not device.startswith("cuda:"):
        raise LongtailError(f"device is '{device}'; it takes auto, cpu, cuda or cuda:N")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise LongtailError(f"device {device} was asked for but torch sees no GPU here; leave --device out")
    number, gpus = device.partition(":")[2], torch.cuda.device_count()
    if number and not (number.isdigit() and int(number) < gpus):
        raise LongtailError(f"device {device} is not there; torch sees {format_count(gpus, 'GPU')}, cuda:0 the first")
    if get_world_size() > 1:
        return init_process_group(device, get_world_size(), threads)
    if number:
        torch.cuda.set_device(int(number))  # streams and graphs belong to the current device
    return World(torch.device(device), threads=threads)


def init_process_group(device: str, size: int, threads: int | None = None) -> World:
    """Join the other processes, each with a GPU of its own or a share of the CPU; raises LostProcess if they are not found."""
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
            store = PrefixStore(get_restart_id(), next(distributed.rendezvous("env://"))[0])
            backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
            distributed.init_process_group(backend, store=store, rank=get_rank(), world_size=size)
        except (RuntimeError, ValueError) as error:
            line = str(error).splitlines()[0]
            raise LostProcess(
                f"the {size} processes did not find each other: {line}; start them by torchrun"
            ) from error
        atexit.register(distributed.destroy_process_group)
    return World(here, get_rank(), size, threads)

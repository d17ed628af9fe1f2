"""One batch over many processes: encoders share the work on it, and everything after them sees all of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable


def get_world_size() -> int:
    """How many train together: 1 unless torch.distributed was started."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def all_gather(rows: Tensor, dim: int = 0) -> Tensor:
    """Rows of every process one after another along `dim`, without gradient; each must bring as many."""
    if get_world_size() == 1:
        return rows
    parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(get_world_size())]
    distributed.all_gather(parts, rows.detach().contiguous())
    return torch.cat(parts, dim)


class AllGather(torch.autograd.Function):
    """(...) of each -> (processes, ...) in each; the gradient of a row is the sum over processes of theirs."""

    @staticmethod
    def forward(ctx, own: Tensor) -> Tensor:
        return all_gather(own.unsqueeze(0))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total[distributed.get_rank()]


SHARED_BATCH: ContextVar[bool] = ContextVar("whether every process has the rows that encoders are given", default=False)


@contextmanager
def shared_batch() -> Iterator[None]:
    """Within it every process has the same batch, and an encoder computes this process's part of its rows only."""
    token = SHARED_BATCH.set(True)
    try:
        yield
    finally:
        SHARED_BATCH.reset(token)


def compute_shard(compute: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`compute(x)`, (N, ...) -> (N, d) or (K, N, d); while sharing, of this process's rows, with those of the others.

    Each process must go on to the same loss: the gradient of a row is summed over processes, and DDP takes the mean.
    """
    if get_world_size() == 1 or not SHARED_BATCH.get():
        return compute(x)
    own = compute(x.unflatten(0, (get_world_size(), -1))[distributed.get_rank()])
    return torch.cat(AllGather.apply(own).unbind(), -2)


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics in training are those of all processes' rows, (N, d, H, W) -> (N, d, H, W).

    Each must bring as many rows. `nn.SyncBatchNorm` is the same for GPUs and refuses a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        whole = x.float() if x.dtype == torch.bfloat16 else x
        variances, means = AllGather.apply(torch.stack(torch.var_mean(whole, (0, 2, 3), correction=0))).unbind(1)
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        self.update(mean.detach(), variance.detach(), get_world_size() * x.numel() // x.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        return ((whole - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def update(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Move the running statistics, (d,) each, as `nn.BatchNorm2d` does for so many values of a channel."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (values / (values - 1)), self.momentum)
        self.num_batches_tracked += 1


def convert_sync_batch_norm(module: nn.Module, device: torch.device) -> None:
    """Let every `nn.BatchNorm2d` inside see the rows of all processes; parameters and their names stay."""
    for parent in list(module.modules()):
        for name, part in parent.named_children():
            if type(part) is not nn.BatchNorm2d:  # kinds with an activation inside keep their own rows
                continue
            if device.type == "cuda":
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(part))
            else:
                part.__class__ = CpuSyncBatchNorm  # the same state, another forward

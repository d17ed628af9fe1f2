"""One batch shared by many processes: encoders divide its rows, and everything after the encoders sees all of them.

So a loss that compares images with each other, a queue or a class mean is the same as in one process.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable


def get_world_size() -> int:
    """Return the number of processes that train together: 1 unless torch.distributed was started."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def all_gather(rows: Tensor, dim: int = 0) -> Tensor:
    """Gather the rows of all ranks along `dim`, in order and without gradient; every rank must bring equally many."""
    if get_world_size() == 1:
        return rows
    gathered = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(get_world_size())]
    distributed.all_gather(gathered, rows.detach().contiguous())
    return torch.cat(gathered, dim)


class AllGather(torch.autograd.Function):
    """A gather with gradient: (...) of every rank -> (world size, ...) in every rank.

    The output of a rank enters the loss of every rank, so its gradient is the sum over ranks. All ranks compute the same
    loss of the whole batch, which makes the sum world size times too large. DDP then takes the mean over ranks, and the
    two cancel: weights before the gather get the gradient of one process. Weights after it, such as a head, have that
    gradient in every rank, and the mean keeps it.
    """

    @staticmethod
    def forward(ctx, local: Tensor) -> Tensor:
        return all_gather(local.unsqueeze(0))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total[distributed.get_rank()]


SHARED_BATCH: ContextVar[bool] = ContextVar("whether all processes have the same batch", default=False)


@contextmanager
def shared_batch() -> Iterator[None]:
    """Tell encoders, within the context, that every process has the same batch; each rank then computes its rows only.

    Without it, as in evaluation, an encoder computes every row that it is given.
    """
    token = SHARED_BATCH.set(True)
    try:
        yield
    finally:
        SHARED_BATCH.reset(token)


def compute_shard(compute: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return `compute(x)`, (N, ...) -> (N, d) or (K, N, d); in a shared batch each rank computes its rows, then all gather.

    Every rank must go on to the same loss, as the gradient of `AllGather` supposes.
    """
    if get_world_size() == 1 or not SHARED_BATCH.get():
        return compute(x)
    local = compute(x.unflatten(0, (get_world_size(), -1))[distributed.get_rank()])
    return torch.cat(AllGather.apply(local).unbind(), -2)


def complete_rows(x: Tensor) -> Tensor:
    """Put together rows that each process has right for its share of a shared batch only: (N, ...) -> (N, ...), no gradient.

    A gradient with respect to images is such a tensor: each process computes its own rows of the network. On one
    process, and without a shared batch, the rows are complete already.
    """
    if get_world_size() == 1 or not SHARED_BATCH.get():
        return x
    return all_gather(x.unflatten(0, (get_world_size(), -1))[distributed.get_rank()])


class CpuSyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over the rows of all processes in training, (N, d, H, W) -> (N, d, H, W); N must be equal in all.

    `nn.SyncBatchNorm` does the same on GPUs and refuses a CPU.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        wide = x.float() if x.dtype == torch.bfloat16 else x
        variances, means = AllGather.apply(torch.stack(torch.var_mean(wide, (0, 2, 3), correction=0))).unbind(1)
        # ranks have equally many values, so the mean of their means is the mean of all; the variance of all is the mean
        # of their variances plus the variance of their means, which loses no digits, unlike a mean of squares
        mean = means.mean(0)
        variance = (variances + (means - mean).square()).mean(0)
        self.update(mean.detach(), variance.detach(), get_world_size() * x.numel() // x.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        return ((wide - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def update(self, mean: Tensor, variance: Tensor, n: int) -> None:
        """Move the running statistics, (d,) each, as `nn.BatchNorm2d` does for n values of a channel."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (n / (n - 1)), self.momentum)  # the unbiased variance, as in torch
        self.num_batches_tracked += 1


def convert_sync_batch_norm(module: nn.Module, device: torch.device) -> None:
    """Make every `nn.BatchNorm2d` inside a module see the rows of all processes; parameters and their names stay."""
    for parent in list(module.modules()):
        for name, child in parent.named_children():
            if type(child) is not nn.BatchNorm2d:  # timm's subclasses with an activation inside see their process only
                continue
            if device.type == "cuda":
                setattr(parent, name, nn.SyncBatchNorm.convert_sync_batchnorm(child))
            else:
                child.__class__ = CpuSyncBatchNorm  # the same state with another forward

"""One batch over many processes: what batch norm and the queue must see of the rows of the others."""

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable


def processes() -> int:
    """How many train together: 1 unless torch.distributed was started."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def gather(rows: Tensor, dim: int = 0) -> Tensor:
    """Rows of every process one after another along `dim`, without gradient; each must bring as many."""
    if processes() == 1:
        return rows
    parts = [torch.empty_like(rows, memory_format=torch.contiguous_format) for _ in range(processes())]
    distributed.all_gather(parts, rows.detach().contiguous())
    return torch.cat(parts, dim)


class JointSum(torch.autograd.Function):
    """The sum over processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        total = x.clone(memory_format=torch.contiguous_format)
        distributed.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor) -> Tensor:
        return JointSum.forward(ctx, gradient)


class JointBatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics in training are those of all processes' rows, (N, d, H, W) -> (N, d, H, W).

    Each must bring as many rows. `nn.SyncBatchNorm` is the same for GPUs and refuses a CPU.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        whole, count = x.float() if x.dtype != torch.float64 else x, processes()
        mean = JointSum.apply(whole.mean((0, 2, 3))) / count
        centred = whole - mean[:, None, None]
        variance = JointSum.apply(centred.square().mean((0, 2, 3))) / count
        self.follow(mean.detach(), variance.detach(), count * x.numel() // x.shape[1])
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def follow(self, mean: Tensor, variance: Tensor, values: int) -> None:
        """Move the running statistics, (d,) each, as `nn.BatchNorm2d` does for so many values of a channel."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (values / (values - 1)), self.momentum)
        self.num_batches_tracked += 1


def join_batch_norm(module: nn.Module, device: torch.device) -> nn.Module:
    """The module with every batch norm over the rows of all processes; parameters and their names stay."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for part in module.modules():
        if type(part) is nn.BatchNorm2d:
            part.__class__ = JointBatchNorm  # the same state, another forward
    return module

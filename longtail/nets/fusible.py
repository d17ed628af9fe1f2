"""Which networks, on which images, the kernels of `nets.fused` can train; this module needs no Triton."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from longtail.nets.resnet_cifar import ResNetCifar

CHANNELS = {16, 32, 64}  # powers of two, and as many as a tensor core multiplies


def fits(bodies: Sequence[nn.Module], x: Tensor) -> bool:
    """Return whether the kernels can train these networks on these images."""
    first = bodies[0]
    return (
        isinstance(first, ResNetCifar)
        and all(type(body) is ResNetCifar and body.training for body in bodies)
        and x.dim() == 4
        and not x.requires_grad
        and x.shape[2] % 4 == 0 == x.shape[3] % 4
        and all(is_standard(module) for body in bodies for module in body.modules())
        and len({p.requires_grad for body in bodies for p in body.parameters()}) == 1
    )


def is_standard(module: nn.Module) -> bool:
    """Return whether a module of a ResNetCifar is as it was built: float32, channels last, no hooks, usual batch norm."""
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
        return False
    if isinstance(module, nn.Conv2d):
        weight = module.weight
        is_last = weight.is_contiguous(memory_format=torch.channels_last)
        return is_last and weight.dtype == torch.float32 and module.out_channels in CHANNELS
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return type(module) is nn.BatchNorm2d and module.training and module.momentum is not None and module.affine
    return True

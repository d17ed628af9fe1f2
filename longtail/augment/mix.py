"""Blends of two images: mixup (Zhang et al. 2018), CutMix (Yun et al. 2019), patches of rare classes (Park et al. 2022).

They take normalized batches, because they run after the transform set, and draw on the images' device.
"""

import torch
from torch import Tensor


def sample_beta(alpha: float, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Sample a tensor of this shape from Beta(alpha, alpha)."""
    concentration = torch.full((), alpha, device=device)
    # validation reads values back, which a captured step cannot do
    return torch.distributions.Beta(concentration, concentration, validate_args=False).sample(shape)


def blend_images(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """Compute share a + (1 - share) b: (N, 3, H, W) or features (N, d) x 2, () or (N,) -> the same shape."""
    share = share.reshape(-1, *[1] * (a.dim() - 1))
    return share * a + (1 - share) * b


def mixup(x: Tensor, y: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Blend each image with another of the batch by one Beta(alpha, alpha) share (Zhang et al. 2018).

    (N, 3, H, W), (N,) -> mixed images, labels of the other images (N,), share of the first image ().
    """
    share, other = sample_beta(alpha, (), x.device), torch.rand(len(x), device=x.device).argsort()
    return blend_images(x, x[other], share), y[other], share


def cutmix(a: Tensor, b: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Paste one random rectangle of each image of b over a, about 1 - share of the area (Yun et al. 2019, CutMix).

    (N, 3, H, W) x 2, () -> images, the exact share of a (). All images have the same rectangle, clipped at the border; at
    share 1 nothing is pasted.
    """
    is_inside = []
    for size in a.shape[-2:]:
        half = (size * (1 - share).sqrt()).floor().div(2, rounding_mode="floor")
        center = (torch.rand((), device=a.device) * size).floor()
        position = torch.arange(size, device=a.device)
        is_inside.append((position >= center - half) & (position < center + half))
    # a mask, not a slice: a captured step has no shapes that depend on values
    hole = is_inside[0].unsqueeze(1) & is_inside[1]
    return torch.where(hole, b, a), 1 - hole.float().mean()


def paste_patches(
    x: Tensor, patches: Tensor, progress: Tensor, probability: float, pause: float
) -> tuple[Tensor, Tensor]:
    """Paste CutMix rectangles of one batch over another by chance, except at both ends of training (Park et al. 2022, CMO).

    (N, 3, H, W) x 2, progress () -> images, the share of x (). The whole batch is mixed with the given probability while
    progress lies between `pause` and 1 - `pause`.
    """
    # tensors instead of branches, so that a CUDA graph can hold the step
    mixing = (progress >= pause) & (progress <= 1 - pause)
    mixing = mixing & (torch.rand((), device=x.device) < probability)
    return cutmix(x, patches, torch.where(mixing, sample_beta(1.0, (), x.device), 1.0))

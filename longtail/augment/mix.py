"""Images made of two, drawn on the images' device; they take normalized batches, since they come after the views."""

import torch
from torch import Tensor


def sample_beta(alpha: float, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Draws of Beta(alpha, alpha), of this shape."""
    concentration = torch.full((), alpha, device=device)
    return torch.distributions.Beta(concentration, concentration, validate_args=False).sample(shape)


def blend_images(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """share a + (1 - share) b: (N, 3, H, W) x 2, () or (N,) -> (N, 3, H, W)."""
    share = share.reshape(-1, 1, 1, 1)
    return share * a + (1 - share) * b


def mixup(x: Tensor, y: Tensor, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mix each image with another of the batch by one Beta(alpha, alpha) share (Zhang et al. 2018).

    (N, 3, H, W), (N,) -> mixed images, labels of the others (N,), share of the first ().
    """
    share, other = sample_beta(alpha, (), x.device), torch.rand(len(x), device=x.device).argsort()
    return blend_images(x, x[other], share), y[other], share


def cutmix(a: Tensor, b: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """Paste the same random rectangle of each of b over a, about 1 - share of the area (Yun et al. 2019, CutMix).

    (N, 3, H, W) x 2, () -> images, the exact share of a (). A center near the border cuts the rectangle there; at share 1
    nothing is pasted.
    """
    inside = []
    for size in a.shape[-2:]:
        half = (size * (1 - share).sqrt()).floor().div(2, rounding_mode="floor")
        center = (torch.rand((), device=a.device) * size).floor()
        place = torch.arange(size, device=a.device)
        inside.append((place >= center - half) & (place < center + half))
    hole = inside[0].unsqueeze(1) & inside[1]
    return torch.where(hole, b, a), 1 - hole.float().mean()

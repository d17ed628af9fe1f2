"""State of contrastive learning with a memory (He et al. 2020, MoCo): the momentum copy and the queue."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class MomentumCopy(nn.Module):
    """A copy of a chain of modules that begins equal, follows its sources slowly and gets no gradient.

    Only parameters follow; batch norm of the copy uses the statistics of the copy's batches.
    """

    def __init__(self, momentum: float, *sources: nn.Module):
        super().__init__()
        self.copy = nn.Sequential(*map(deepcopy, sources)).requires_grad_(False)
        self.momentum = momentum

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.copy(x)

    @torch.no_grad()
    def update(self, *sources: nn.Module) -> None:
        """Move every parameter by 1 - momentum of the way to its source (He et al. 2020, Eq. 2)."""
        copies: list[Tensor] = list(self.copy.parameters())
        targets: list[Tensor] = [parameter for source in sources for parameter in source.parameters()]
        torch._foreach_lerp_(copies, targets, 1 - self.momentum)  # one kernel instead of one for each parameter


class Queue(nn.Module):
    """The last Q keys of each of K experts, (K, Q, d), which begin as normalized Gaussians.

    A step reads the old keys and holds the new ones back until `push_held`. Otherwise an image would meet its own key among the
    negatives. Backward also needs the keys unchanged, and all micro-batches of a step must see the same negatives.
    """

    keys: Tensor
    place: Tensor  # of the oldest key, which the next one replaces

    def __init__(self, experts: int, length: int, width: int):
        super().__init__()
        self.register_buffer("keys", normalize(torch.randn(experts, length, width), dim=-1))
        self.register_buffer("place", torch.zeros((), dtype=torch.long))
        self.held: list[tuple[Tensor, ...]] = []  # arguments of `push`, a tuple for each micro-batch of the step

    def hold(self, *rows: Tensor) -> None:
        """Hold the arguments of `push`, from one micro-batch, until the step is done."""
        self.held.append(rows)

    def push_held(self) -> None:
        """Push the held rows of all micro-batches in order: keys (K, N, d) and, in a labeled queue, labels (N,)."""
        self.push(*(torch.cat(rows, 1 if rows[0].dim() == 3 else 0) for rows in zip(*self.held, strict=True)))
        self.held.clear()

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest keys by new ones, (K, N, d); if N > Q, the last Q are kept."""
        length = self.keys.shape[1]
        keys = keys[:, -length:].to(self.keys.dtype)
        self.keys.index_copy_(1, self.find_oldest(keys.shape[1]), keys)
        self.place.copy_((self.place + keys.shape[1]) % length)

    def find_oldest(self, n: int) -> Tensor:
        """Return the positions (n,) of the n oldest keys; they stay on the device, so that a CUDA graph can hold them."""
        return (self.place + torch.arange(n, device=self.place.device)) % self.keys.shape[1]


class LabeledQueue(Queue):
    """A queue that also keeps the labels of its keys, (Q,), which begin as -1, no class."""

    labels: Tensor

    def __init__(self, experts: int, length: int, width: int):
        super().__init__(experts, length, width)
        self.register_buffer("labels", torch.full((length,), -1))

    @torch.no_grad()
    def push(self, keys: Tensor, labels: Tensor) -> None:  # type: ignore[override]  # the labels go with the keys
        """Replace the oldest keys and labels by new ones, (K, N, d) and (N,)."""
        labels = labels[-len(self.labels) :]
        self.labels.index_copy_(0, self.find_oldest(len(labels)), labels)
        super().push(keys)

"""State of contrastive learning with a memory (He et al. 2020): the momentum copy and the queue."""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class MomentumCopy(nn.Module):
    """A copy of a chain of modules, equal to it at first, that follows it slowly and gets no gradient.

    Only parameters follow; the copy's batch norm uses the statistics of its own batch.
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
        """Move every parameter by 1 - momentum of the way to its source."""
        ahead = [parameter for source in sources for parameter in source.parameters()]
        torch._foreach_lerp_(list(self.copy.parameters()), ahead, 1 - self.momentum)


class Queue(nn.Module):
    """The last Q keys of each of K experts, (K, Q, d); normalized Gaussians to begin with."""

    def __init__(self, experts: int, length: int, width: int):
        super().__init__()
        self.register_buffer("keys", normalize(torch.randn(experts, length, width), dim=-1))
        self.register_buffer("place", torch.zeros((), dtype=torch.long))
        self.held: list[tuple[Tensor, ...]] = []  # of this step, which may come in several parts

    def hold(self, *rows: Tensor) -> None:
        """Keep what `push` takes, of one part of a step, until the step is done."""
        self.held.append(rows)

    def push_held(self) -> None:
        """Push what the parts of a step brought, in their order: keys (K, N, d) and, where there are any, labels (N,)."""
        self.push(*(torch.cat(parts, 1 if parts[0].dim() == 3 else 0) for parts in zip(*self.held, strict=True)))
        self.held.clear()

    @torch.no_grad()
    def push(self, keys: Tensor) -> None:
        """Replace the oldest keys by these, (K, N, d); of more than Q the last Q are kept."""
        length = self.keys.shape[1]
        keys = keys[:, -length:].to(self.keys.dtype)
        slots = self.slots(keys.shape[1])
        self.keys.index_copy_(1, slots, keys)
        self.place.copy_((self.place + keys.shape[1]) % length)

    def slots(self, n: int) -> Tensor:
        """Where the next n keys go."""
        return (self.place + torch.arange(n, device=self.place.device)) % self.keys.shape[1]


class LabelledQueue(Queue):
    """A queue that keeps the labels of its keys too, (Q,); -1, no class, to begin with."""

    def __init__(self, experts: int, length: int, width: int):
        super().__init__(experts, length, width)
        self.register_buffer("labels", torch.full((length,), -1))

    @torch.no_grad()
    def push(self, keys: Tensor, labels: Tensor) -> None:
        """Replace the oldest keys and labels by these, (K, N, d) and (N,)."""
        labels = labels[-len(self.labels) :]
        self.labels.index_copy_(0, self.slots(len(labels)), labels)
        super().push(keys)

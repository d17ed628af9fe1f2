"""A frozen copy of a network that teaches another one."""

from copy import deepcopy
from typing import Self

import torch
from torch import Tensor, nn


class Teacher(nn.Module):
    """A copy of a chain of modules that always computes as in a test: no gradient, and the batch norm of evaluation mode.

    The copy is part of the state of a method, so that a resumed run has the same teacher.
    """

    def __init__(self, *sources: nn.Module):
        super().__init__()
        self.copy = nn.Sequential(*map(deepcopy, sources)).requires_grad_(False).eval()

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return self.copy(x)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever the method around the teacher does."""
        return super().train(False)

    def take(self, *sources: nn.Module) -> None:
        """Copy the parameters and running statistics of the sources, a chain of the same shape."""
        self.copy.load_state_dict(nn.Sequential(*sources).state_dict())

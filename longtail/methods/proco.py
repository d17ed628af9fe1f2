"""Probabilistic Contrastive Learning (Du et al., TPAMI 2024): a contrast with the whole distribution of every class."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.losses import balanced_cross_entropy, one_hot, vmf_logits
from longtail.methods.base import Classifier
from longtail.nets import Net, build_mlp
from longtail.validation import Range

KAPPA_MAX = 1e5  # as in the authors' code


class ClassDirections(nn.Module):
    """A von Mises-Fisher distribution for each of C classes, estimated from the points of this epoch and the last.

    A class without points has a random direction of length 0.9.
    """

    sums: Tensor
    counts: Tensor
    last_sums: Tensor
    last_counts: Tensor
    unseen: Tensor

    def __init__(self, classes: int, width: int):
        super().__init__()
        for name, columns in (("sums", width), ("counts", 1), ("last_sums", width), ("last_counts", 1)):
            self.register_buffer(name, torch.zeros(classes, columns))
        self.register_buffer("unseen", 0.9 * normalize(torch.randn(classes, width), dim=-1))

    def begin_epoch(self) -> None:
        """Forget the epoch before the last."""
        for last, now in ((self.last_sums, self.sums), (self.last_counts, self.counts)):
            last.copy_(now)
            now.zero_()

    @torch.no_grad()
    def update(self, points: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Add unit points (M, p) with labels (M,); return the mean point (C, p) and concentration (C,) of each class.

        The concentration is p R / (1 - R^2), where R is the length of the mean.
        """
        own = one_hot(y, len(self.sums)).to(points.dtype)
        self.sums += own.T @ points
        self.counts += own.sum(0).unsqueeze(1)
        n = self.last_counts + self.counts
        mean = torch.where(n > 0, (self.last_sums + self.sums) / n.clamp_min(1), self.unseen)
        length = mean.norm(dim=-1)
        kappa = points.shape[-1] * length / (1 - length**2).clamp_min(1e-9)
        return mean, kappa.clamp_max(KAPPA_MAX)


class ProCo(Classifier):
    """Balanced cross-entropy on one view and, on two others, of logits that compare a point with whole class distributions.

    A class is a von Mises-Fisher distribution of unit projections z'. Its logit for a point z is log E exp(z . z' / T),
    the limit of a contrast with infinitely many samples. All three views pass network, projection and their batch norm
    together, and the contrasted views are the "moco" transform, which also blurs; both as in `bcl`.

    Departures from the authors' code. The logit is Debye's expansion, not a recurrence for the Bessel function, which
    reads values back. Both views update the distributions before the loss of either; in their code one follows the other.
    The authors train at learning rate 0.3 with batch 256, and keep the best epoch on the test set. Users who repeat them
    report about a point less (issues 1 and 5 of their repository).
    """

    assumes = "uniform"
    views = ("strong", "moco", "moco")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        contrast: Annotated[float, "alpha, weight of the contrast (authors' code)", Range(0)] = 1.0,
        temperature: Annotated[float, "T, temperature of the contrast (authors' code)", Range(1e-3)] = 0.1,
        hidden: Annotated[int, "width inside the projection (authors' code)", Range(1)] = 512,
        projection: Annotated[
            int, "p, width of the contrastive space (authors' code); the expansion is inexact for small p", Range(16)
        ] = 128,
    ):
        super().__init__(counts, net)
        self.contrast, self.temperature = contrast, temperature
        self.projector = build_mlp(net.feature_dim, hidden, projection)
        self.directions = ClassDirections(self.classes, projection)

    def begin_epoch(self, batches: Iterator[Batch]) -> None:
        self.directions.begin_epoch()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        n, y = len(batch.y), batch.y
        v = self.encoders(torch.cat(batch.views))  # (1, 3 N, d)
        points, both = normalize(self.projector(v[0])[n:], dim=-1), torch.cat([y, y])
        mean, kappa = self.directions.update(points.detach(), both)
        compared = vmf_logits(points, mean, kappa, self.temperature)  # (2 N, C)
        return {
            "bc": balanced_cross_entropy(self.cls(v[:, :n]), y, self.log_prior).mean(),
            "contrast": self.contrast * balanced_cross_entropy(compared, both, self.log_prior).mean(),
        }

"""Prior-LT: UniMix and Bayias (Xu et al., NeurIPS 2021)."""

from collections.abc import Sequence
from typing import Annotated, Literal

from torch import Tensor

from longtail.augment import blend_images, sample_beta
from longtail.data import Batch
from longtail.losses import balanced_cross_entropy
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount
from longtail.nets import Net
from longtail.validation import Range


class PriorLT(Classifier):
    """Mixup that favors rare classes (UniMix), with the log class prior added to the logits in training (Bayias).

    The share of an image of class i mixed with one of class j is a draw of Beta(alpha, alpha) plus n_j / (n_i + n_j),
    modulo 1. The partners are a second batch, whose classes have probability n^(1 + tau). The authors' code draws them
    from the first batch with weights n^tau, which is the same in a large batch. Bayias is Eq. 3 of ECL.
    """

    assumes = "uniform"

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        alpha: Annotated[float, "parameter of Beta(alpha, alpha) (authors' CIFAR configurations)", Range(1e-3)] = 0.8,
        partners: Annotated[
            Literal["instance", "square_root", "balanced", "reversed"],
            "classes of the partners: tau = 0, -0.5 (authors' CIFAR-10; CIFAR-100: -0.1), -1, -2",
        ] = "square_root",
    ):
        super().__init__(counts, net, experts)
        self.alpha, self.partners = alpha, partners

    def stages(self) -> list[Stage]:
        return [Stage("train", samplers=("instance", self.partners))]

    def forward(self, batch: Batch, partners: Batch) -> dict[str, Tensor]:
        share = self.draw_shares(batch.y, partners.y)
        z = self.logits(blend_images(batch.views[0], partners.views[0], share))
        first, second = (balanced_cross_entropy(z, labels, self.log_prior) for labels in (batch.y, partners.y))
        return {"unimix": (share * first + (1 - share) * second).mean()}

    def draw_shares(self, i: Tensor, j: Tensor) -> Tensor:
        """Draw the UniMix factor of every pair from its labels: (N,), (N,) -> (N,)."""
        shift = (self.log_prior[j] - self.log_prior[i]).sigmoid()  # n_j / (n_i + n_j)
        return (sample_beta(self.alpha, i.shape, i.device) + shift) % 1

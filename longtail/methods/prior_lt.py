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
    """Mixup in favour of the rare (UniMix), with the class prior in the logits (Bayias, the same as Eq. 3 of ECL).

    The share of an image of class i mixed with one of class j is a draw of Beta(alpha, alpha) moved by n_j / (n_i + n_j),
    around the unit interval. The partners are a batch of their own, in which a class is as likely as n^(1 + tau); the
    authors' code redraws them from the first batch with weights n^tau, which comes to the same in a large one.
    """

    assumes = "uniform"

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        alpha: Annotated[float, "of Beta(alpha, alpha) (authors' CIFAR configurations)", Range(1e-3)] = 0.8,
        partners: Annotated[
            Literal["instance", "square_root", "balanced", "reversed"],
            "classes of the partners: tau = 0, -.5 (authors' CIFAR-10; CIFAR-100: -.1), -1, -2",
        ] = "square_root",
    ):
        super().__init__(counts, net, experts)
        self.alpha, self.partners = alpha, partners

    def stages(self) -> list[Stage]:
        return [Stage("train", samplers=("instance", self.partners))]

    def forward(self, batch: Batch, partners: Batch) -> dict[str, Tensor]:
        share = self.shares(batch.y, partners.y)
        z = self.logits(blend_images(batch.views[0], partners.views[0], share))
        own, other = (balanced_cross_entropy(z, labels, self.log_prior) for labels in (batch.y, partners.y))
        return {"unimix": (share * own + (1 - share) * other).mean()}

    def shares(self, own: Tensor, other: Tensor) -> Tensor:
        """The UniMix factor: (N,), (N,) labels -> (N,)."""
        favour = (self.log_prior[other] - self.log_prior[own]).sigmoid()  # n_j / (n_i + n_j)
        return (sample_beta(self.alpha, own.shape, own.device) + favour) % 1

"""Focal loss (Lin et al., ICCV 2017)."""

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from longtail.data import Batch
from longtail.losses import focal_loss
from longtail.methods.base import Classifier
from longtail.methods.options import ExpertCount
from longtail.nets import Net
from longtail.validation import Range


class Focal(Classifier):
    """Cross-entropy in which well-classified images count less (Eq. 4), averaged over K independent networks.

    An image counts (1 - p)^gamma for the probability p of its label. p is a softmax here, and a sigmoid in the paper.
    """

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        gamma: Annotated[float, "focusing power; 0 is cross-entropy (Lin et al. 2017, Eq. 4)", Range(0)] = 2.0,
    ):
        super().__init__(counts, net, experts)
        self.gamma = gamma

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"focal": focal_loss(self.logits(batch.views[0]), batch.y, self.gamma).mean()}

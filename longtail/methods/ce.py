"""Cross-entropy: the baseline that every long-tailed method is measured against."""

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier
from longtail.nets import Net
from longtail.validation import Range


class CrossEntropy(Classifier):
    """Cross-entropy without any balancing, averaged over K independent networks: the baseline."""

    assumes = "train"

    def __init__(
        self, counts: Sequence[int], net: Net, experts: Annotated[int, "K, independent networks", Range(1)] = 1
    ):
        super().__init__(counts, net, experts)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}

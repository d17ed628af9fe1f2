"""Cross-entropy: the baseline that every long-tailed method is measured against."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier
from longtail.nets import CosineHeads, Heads, Net
from longtail.validation import Range


class CrossEntropy(Classifier):
    """Cross-entropy without any balancing, averaged over K independent networks: the baseline."""

    assumes = "train"

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, independent networks", Range(1)] = 1,
        head: Annotated[Literal["linear", "cosine"], "class heads"] = "linear",
        scale: Annotated[float, "scale of a cosine head's logits (Shi et al. 2024)", Range(1e-3)] = 25.0,
    ):
        super().__init__(counts, net, experts, partial(CosineHeads, scale=scale) if head == "cosine" else Heads)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}

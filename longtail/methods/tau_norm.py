"""Tau-normalized classifier (Kang et al., Decoupling, ICLR 2020)."""

from collections.abc import Iterator, Sequence
from typing import Annotated

from torch import Tensor

from longtail.data import Batch
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount
from longtail.nets import Heads, Net
from longtail.validation import Range


class TauNormalized(Classifier):
    """Cross-entropy; then each class's weights w become w / |w|^tau, and the bias is dropped.

    The paper chooses tau on validation images. Without them the default is 1, the paper's special case of equal norms.
    """

    cls: Heads

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        tau: Annotated[
            float, "0 keeps the weights, 1 gives all classes the same norm (Kang et al. 2020)", Range(0)
        ] = 1.0,
    ):
        super().__init__(counts, net, experts)
        self.tau = tau

    def stages(self) -> list[Stage]:
        return [Stage("train"), Stage("normalize", 0.0)]

    def post_hoc(self, stage: Stage, batches: Iterator[Batch]) -> None:
        self.cls.weight.div_(self.cls.weight.norm(dim=-1, keepdim=True) ** self.tau)
        self.cls.bias.zero_()

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}

"""cRT: classifier re-training (Kang et al., Decoupling, ICLR 2020)."""

from collections.abc import Sequence

from torch import Tensor

from longtail.data import Batch, Split
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount, HeadShare
from longtail.nets import Heads, Net


class ClassifierRetraining(Classifier):
    """Cross-entropy on the images as they come; then a new head, over frozen features, on class-balanced batches.

    The authors' code leaves the frozen network's batch norm in training mode; the paper keeps all of it fixed, as here.
    """

    assumes = "uniform"  # by the head's balanced batches

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        head_share: HeadShare = 0.1,  # 10 epochs after 90
    ):
        super().__init__(counts, net, experts)
        self.head_share, self.fresh = head_share, (experts, net.feature_dim, self.classes)

    def stages(self) -> list[Stage]:
        return [
            Stage("features", 1 - self.head_share),
            Stage("head", self.head_share, samplers=("balanced",), trains=("cls",)),
        ]

    def begin_stage(self, stage: Stage, split: Split) -> None:
        super().begin_stage(stage, split)
        if stage.name == "head":
            self.cls.load_state_dict(Heads(*self.fresh).state_dict())

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}

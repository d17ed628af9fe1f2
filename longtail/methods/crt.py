"""cRT: classifier re-training (Kang et al., Decoupling, ICLR 2020)."""

from collections.abc import Sequence

from torch import Tensor

from longtail.data import Batch, Split
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier, Stage
from longtail.methods.options import ExpertCount, HeadShare
from longtail.nets import Heads, Net


class ClassifierRetraining(Classifier):
    """Cross-entropy on all images; then a new head on frozen features, trained on class-balanced batches.

    The frozen network's batch norm is in evaluation mode, as the paper's text has it. The authors' code leaves it in
    training mode.
    """

    assumes = "uniform"  # the head sees balanced batches

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: ExpertCount = 1,
        head_share: HeadShare = 0.1,  # 10 of 100 epochs
    ):
        super().__init__(counts, net, experts)
        self.head_share, self.head_shape = head_share, (experts, net.feature_dim, self.classes)

    def stages(self) -> list[Stage]:
        return [
            Stage("features", 1 - self.head_share),
            Stage("head", self.head_share, samplers=("balanced",), trains=("cls",)),
        ]

    def begin_stage(self, stage: Stage, split: Split) -> None:
        super().begin_stage(stage, split)
        if stage.name == "head":
            self.cls.load_state_dict(Heads(*self.head_shape).state_dict())

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}

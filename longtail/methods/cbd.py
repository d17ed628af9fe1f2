"""Class-balanced distillation (Iscen et al., BMVC 2021)."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated

from torch import Tensor
from torch.nn.functional import cosine_similarity

from longtail.data import Batch, Split
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier, Stage
from longtail.nets import CosineHeads, Experts, Net, Teacher
from longtail.validation import Range


class CBD(Classifier):
    """A teacher on all images, then a new student on class-balanced batches whose features follow the teacher's.

    Loss of the student: (1 - alpha) CE + alpha beta (1 - cos(student's feature, teacher's feature)), on the same view.
    The formulas come from a third party's code, as no official code was found. Its defaults are those of ImageNet-LT; the
    paper has no CIFAR. There the scale of the cosines is learned and a bias added; here the scale is fixed.
    The paper's ensemble of teachers is not included. Teacher and student share the epochs of the run; the third party trains
    each for 90 epochs, at learning rate 0.2 and batch 512.
    """

    assumes = "uniform"  # the student sees balanced batches
    begins_anew = True

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        alpha: Annotated[
            float, "weight of the distillation, 1 - alpha that of the labels (third party, ImageNet-LT)", Range(0, 1)
        ] = 0.4,
        beta: Annotated[float, "factor of the cosine distance (third party, ImageNet-LT)", Range(0)] = 100.0,
        scale: Annotated[float, "scale of the cosines of the class heads", Range(1e-3)] = 10.0,
    ):
        heads = partial(CosineHeads, scale=scale)
        super().__init__(counts, net, heads=heads)
        self.alpha, self.beta = alpha, beta
        self.teacher = Teacher(self.encoders)
        self.build_encoders = partial(Experts, net.encoder, 1)
        self.build_head = partial(heads, 1, net.feature_dim, self.classes)

    def stages(self) -> list[Stage]:
        trains = ("encoders", "cls")
        return [Stage("teacher", trains=trains), Stage("student", samplers=("balanced",), trains=trains)]

    def begin_stage(self, stage: Stage, split: Split) -> None:
        super().begin_stage(stage, split)
        if stage.name == "student":
            self.teacher.take(self.encoders)
            self.encoders.load_state_dict(self.build_encoders().state_dict())
            self.cls.load_state_dict(self.build_head().state_dict())

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.views[0], batch.y
        v = self.encoders(x)
        ce = cross_entropy(self.cls(v), y).mean()
        if self.stage == "teacher":
            return {"ce": ce}
        distil = 1 - cosine_similarity(v, self.teacher(x), dim=-1).mean()
        return {"ce": (1 - self.alpha) * ce, "distil": self.alpha * self.beta * distil}

"""Distillation of a finished run into one network (Hinton et al. 2015), with the class prior and weight of ECL (Eq. 3, 5-6)."""

from collections.abc import Sequence
from typing import Annotated

from torch import Tensor, nn

from longtail.data import Batch, Split
from longtail.errors import LongtailError
from longtail.losses import balanced_cross_entropy, tempered_kl, transfer_weight
from longtail.methods.base import Classifier, Stage
from longtail.nets import Net, Teacher
from longtail.validation import Range


class Distill(Classifier):
    """One network that learns from the labels and from the ensemble of a finished run.

    Loss: (1 - alpha) BC(s, y) + alpha w T^2 KL(softmax((t + log p) / T) || softmax((s + log p) / T)), where t are the teacher's
    logits under a uniform class prior, s the student's, and p is the prior of the training images. w is 1 or, with `bkt`, the
    weight of balanced knowledge transfer with the teacher as the reference head, divided by its mean over the batch: a finished
    teacher is certain of its training images, so that the weight itself is often a thousand. `longtail distill` makes such a
    run.
    """

    assumes = "uniform"

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        teacher: Annotated[str, "path of the finished run that teaches"] = "",
        alpha: Annotated[float, "weight of the distillation, 1 - alpha that of the labels", Range(0, 1)] = 0.5,
        temperature: Annotated[float, "T of student and teacher (Hinton et al. 2015)", Range(1e-3)] = 2.0,
        bkt: Annotated[bool, "weigh images by balanced knowledge transfer (ECL, Eq. 5-6)"] = False,
    ):
        super().__init__(counts, net)
        self.teacher_run, self.alpha, self.temperature, self.bkt = teacher, alpha, temperature, bkt
        self.teacher: Teacher | None = None

    def take_teacher(self, network: nn.Module) -> None:
        self.teacher = Teacher(network)

    def begin_stage(self, stage: Stage, split: Split) -> None:
        super().begin_stage(stage, split)
        if self.teacher is None:
            raise LongtailError("distill learns from a finished run; take `longtail distill RUN`")

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        assert self.teacher is not None
        x, y = batch.views[0], batch.y
        s, t = self.logits(x), self.teacher(x).unsqueeze(0)  # (1, N, C)
        bc = balanced_cross_entropy(s, y, self.log_prior).mean()
        kl = tempered_kl(s + self.log_prior, t + self.log_prior, self.temperature)  # (1, N)
        if self.bkt:
            w = transfer_weight(s, t, y)
            kl = w / w.mean() * kl
        return {"bc": (1 - self.alpha) * bc, "distil": self.alpha * kl.mean()}

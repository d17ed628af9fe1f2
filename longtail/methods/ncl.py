"""Nested Collaborative Learning (Li et al., CVPR 2022): experts that learn and teach over all classes and over the hard ones."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from torch import Tensor
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.losses import balanced_cross_entropy, cross_entropy, hard_categories, info_nce, pairwise_kl
from longtail.methods.base import Classifier
from longtail.nets import CosineHeads, Heads, MomentumCopy, Net, Projectors, Queue
from longtail.validation import Range


class NCL(Classifier):
    """K experts that learn and distill over all classes and over each image's hardest ones, with a contrast to momentum copies.

    The paper's names: nested individual learning (NIL), nested balanced online distillation (NBOD). All terms are sums
    over the K experts, as in the paper, so gradients are K times those of methods that average.
    Classes that are not hard leave the softmax, as in the paper; the public code multiplies their balanced logits by 0,
    which keeps them in the softmax. In the public code the key networks start unequal and follow K times a step, and the
    key projectors never follow. Here both follow as in MoCo. The paper's recipe is `--recipe ncl-cifar`; the default
    is the common recipe.
    """

    assumes = "uniform"
    views = ("strong", "moco")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, complete separate networks (Sec. 4)", Range(1)] = 3,
        hard: Annotated[float, "share of the classes that are hard (hard category mining)", Range(0, 1)] = 0.3,
        distillation: Annotated[float, "weight of both distillations", Range(0)] = 0.6,
        temperature: Annotated[float, "temperature of the contrast (He et al. 2020)", Range(1e-3)] = 0.2,
        queue: Annotated[int, "Q, negatives each network keeps", Range(1)] = 1024,
        projection: Annotated[int, "width of the contrastive space", Range(1)] = 64,
        head: Annotated[Literal["linear", "cosine"], "class heads; cosine on the large sets (public code)"] = "linear",
        scale: Annotated[float, "scale of a cosine head's logits", Range(1e-3)] = 16.0,
        key_momentum: Annotated[float, "momentum of the key networks (He et al. 2020)", Range(0, 1)] = 0.999,
    ):
        super().__init__(counts, net, experts, partial(CosineHeads, scale=scale) if head == "cosine" else Heads)
        self.hard = min(max(round(hard * self.classes), 2), self.classes)  # one class alone has no loss
        self.distillation, self.temperature = distillation, temperature
        self.projector = Projectors(experts, net.feature_dim, projection)
        self.key = MomentumCopy(key_momentum, self.encoders, self.projector)
        self.queue = Queue(experts, self.clip_queue_length(queue), projection)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        (a, b), y = batch.views, batch.y
        v = self.encoders(a)  # (K, N, d)
        z = self.cls(v)  # (K, N, C)
        # all experts take the hard classes of the first, as in the public code: a divergence needs the same classes
        hard = hard_categories(z[0], y, self.hard)  # (N, H), the label first
        u = z + self.log_prior  # balanced logits
        h = u.gather(-1, hard.expand(len(z), -1, -1))  # of the hard classes only
        return {
            "bc": balanced_cross_entropy(z, y, self.log_prior).mean(-1).sum(),  # NIL, all classes
            "bc_hard": cross_entropy(h, y.new_zeros(len(y))).mean(-1).sum(),  # NIL, hard classes
            "distil": self.distill(u),  # NBOD, all classes
            "distil_hard": self.distill(h),  # NBOD, hard classes
            "contrast": self.contrast_with_keys(v, b),  # self-supervision
        }

    def distill(self, logits: Tensor) -> Tensor:
        """Compute the divergences of all ordered pairs, divided by K - 1: (K, N, C) -> ().

        The gradient reaches the teachers too; both as in the public code.
        """
        return self.distillation * len(logits) * pairwise_kl(logits, detach=False)

    def contrast_with_keys(self, v: Tensor, b: Tensor) -> Tensor:
        """Compute InfoNCE of view a's features against keys of view b: (K, N, d), (N, 3, H, W) -> ()."""
        query = normalize(self.projector(v), dim=-1)
        key = normalize(self.key(b), dim=-1)
        self.queue.hold(key)
        return info_nce(query, key, self.queue.keys, self.temperature).mean(-1).sum()

    def after_step(self) -> None:
        self.key.update(self.encoders, self.projector)
        self.queue.push_held()

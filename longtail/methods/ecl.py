"""Effective Collaborative Learning (Xu et al., IEEE TMM 2023): K experts that teach each other, weighted by a reference head."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from torch import Tensor, nn
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.losses import balanced_cross_entropy, info_nce, pairwise_kl, transfer_weight
from longtail.methods.base import Classifier
from longtail.nets import CosineHeads, Heads, MomentumCopy, Net, Projectors, Queue
from longtail.validation import Range


class ECL(Classifier):
    """K experts that learn by balanced cross-entropy and from each other's logits and features, and by contrast.

    The paper's names: balanced classification (BC), balanced knowledge transfer (BKT), feature-level distillation (FLD),
    contrastive proxy task (CPT). With alpha = 0 or one expert there is nothing to distill, and no reference head is built.
    """

    views: tuple[str, ...] = ("strong", "moco")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, complete separate networks (Sec. VI-C)", Range(1)] = 3,
        alpha: Annotated[float, "weight of both distillations (Eq. 11)", Range(0)] = 0.6,
        beta: Annotated[float, "weight of the contrastive term (Eq. 11)", Range(0)] = 1.0,
        bkt: Annotated[bool, "distill logits (Eq. 5-7); off: no reference head either (Table III)"] = True,
        ref: Annotated[bool, "reference head (Eq. 10); off: vanilla logit distillation, w = 1"] = True,
        reweight: Annotated[bool, "weight by the reference head (Eq. 5-6); off: w = 1 beside it"] = True,
        fld: Annotated[bool, "distill features (Eq. 8, Table III)"] = True,
        cpt: Annotated[bool, "contrastive branch (Eq. 9, Table III)"] = True,
        tau: Annotated[float, "strength of the prior in training (Eq. 3)", Range(0)] = 1.0,
        kd_temperature: Annotated[float, "temperature of both distillations (Eq. 7-8)", Range(1e-3)] = 1.0,
        kd_on: Annotated[Literal["raw", "balanced"], "logits that are distilled: z, or z + tau log prior"] = "raw",
        detach: Annotated[bool, "no gradient into the teacher (Eq. 7-8)"] = True,
        temperature: Annotated[float, "temperature of the contrast (Eq. 9)", Range(1e-3)] = 0.2,
        contrast: Annotated[Literal["mean", "sum"], "contrastive loss over the experts (Eq. 9)"] = "mean",
        queue: Annotated[int, "Q, negatives each network keeps (Sec. VI-C)", Range(1)] = 1024,
        projection: Annotated[int, "width of the contrastive space", Range(1)] = 64,
        head: Annotated[
            Literal["linear", "cosine"], "both class heads; cosine on the large sets (Sec. VI-C)"
        ] = "linear",
        scale: Annotated[float, "scale of a cosine head's logits", Range(1e-3)] = 16.0,
        key_momentum: Annotated[float, "momentum of the key networks (He et al. 2020)", Range(0, 1)] = 0.999,
    ):
        heads = partial(CosineHeads, scale=scale) if head == "cosine" else Heads
        super().__init__(counts, net, experts, heads)
        has_distillation = alpha > 0 and experts > 1  # without it, this is the CPT row of Table III
        self.alpha, self.beta, self.tau = alpha, beta, tau
        self.bkt, self.fld = bkt and has_distillation, fld and has_distillation
        self.cpt, self.reweight = cpt and beta > 0, reweight
        self.kd_temperature, self.kd_on, self.detach = kd_temperature, kd_on, detach
        self.temperature, self.contrast = temperature, contrast
        self.ref: nn.Module | None = heads(experts, net.feature_dim, self.classes) if self.bkt and ref else None
        if not self.cpt:
            self.views = ("strong",)
            return
        self.projector = Projectors(experts, net.feature_dim, projection)
        self.key = MomentumCopy(key_momentum, self.encoders, self.projector)
        self.queue = Queue(experts, self.clip_queue_length(queue), projection)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        a, y, w = batch.views[0], batch.y, None  # w = None is w = 1
        v = self.encoders(a)  # (K, N, d)
        z = self.cls(v)  # (K, N, C)
        terms = {"bc": self.bc(z, y)}  # Eq. 3
        if self.ref is not None:
            r = self.ref(v)  # (K, N, C)
            terms["bc_ref"] = self.bc(r, y)  # Eq. 10
            w = transfer_weight(z, r, y) if self.reweight else None  # Eq. 5-6
        if self.bkt:
            u = z if self.kd_on == "raw" else z + self.tau * self.log_prior  # Eq. 7 or, balanced, Eq. 3
            terms["logit"] = self.alpha * self.distill(u, w)  # Eq. 7
        if self.fld:
            terms["feature"] = self.alpha * self.distill(v)  # Eq. 8
        if self.cpt:
            terms["contrast"] = self.beta * self.contrast_with_keys(v, batch.views[1])  # Eq. 9
        return terms  # Eq. 11 is their sum

    def bc(self, z: Tensor, y: Tensor) -> Tensor:
        """Compute balanced cross-entropy, the mean over experts and images (Eq. 3): (K, N, C), (N,) -> ()."""
        return balanced_cross_entropy(z, y, self.log_prior, self.tau).mean()

    def distill(self, outputs: Tensor, weight: Tensor | None = None) -> Tensor:
        """Compute the divergence of every expert from every other one (Eq. 7-8): (K, N, C), (K, N) -> ()."""
        return pairwise_kl(outputs, weight, self.kd_temperature, self.detach)

    def contrast_with_keys(self, v: Tensor, b: Tensor) -> Tensor:
        """Compute InfoNCE of view a's features against keys of view b (Eq. 9): (K, N, d), (N, 3, H, W) -> ()."""
        query = normalize(self.projector(v), dim=-1)
        key = normalize(self.key(b), dim=-1)
        self.queue.hold(key)
        loss = info_nce(query, key, self.queue.keys, self.temperature).mean(-1)
        return loss.mean() if self.contrast == "mean" else loss.sum()

    def after_step(self) -> None:
        if self.cpt:
            self.key.update(self.encoders, self.projector)
            self.queue.push_held()

    def assumed_log_prior(self) -> Tensor:
        return (1 - self.tau) * self.log_prior  # the loss adds the rest (Eq. 3)

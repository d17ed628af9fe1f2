"""Effective Collaborative Learning (Xu et al., IEEE TMM 2023): K experts that teach each other, weighted by a reference head."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal

from torch import Tensor
from torch.nn.functional import normalize

from longtail.data import Batch
from longtail.losses import balanced_cross_entropy, info_nce, pairwise_kl, transfer_weight
from longtail.methods.base import Classifier
from longtail.nets import CosineHeads, Heads, MomentumCopy, Net, Projectors, Queue
from longtail.validation import Range


class ECL(Classifier):
    """Balanced classification (BC), balanced knowledge transfer (BKT), feature-level distillation (FLD), contrast (CPT)."""

    views = ("strong", "moco")

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        experts: Annotated[int, "K, complete separate networks (Sec. VI-C)", Range(1)] = 3,
        alpha: Annotated[float, "weight of both distillations (Eq. 11)", Range(0)] = 0.6,
        beta: Annotated[float, "weight of the contrastive term (Eq. 11)", Range(0)] = 1.0,
        bkt: Annotated[bool, "distil logits (Eq. 5-7); off: no reference head either (Table III)"] = True,
        ref: Annotated[bool, "reference head (Eq. 10); off: vanilla logit distillation, w = 1"] = True,
        reweight: Annotated[bool, "weight by the reference head (Eq. 5-6); off: w = 1 beside it"] = True,
        fld: Annotated[bool, "distil features (Eq. 8, Table III)"] = True,
        cpt: Annotated[bool, "contrastive branch (Eq. 9, Table III)"] = True,
        tau: Annotated[float, "strength of the prior in training (Eq. 3)", Range(0)] = 1.0,
        kd_temperature: Annotated[float, "temperature of both distillations (Eq. 7-8)", Range(1e-3)] = 1.0,
        kd_on: Annotated[Literal["raw", "balanced"], "logits that are distilled: z, or z + tau log prior"] = "raw",
        detach: Annotated[bool, "no gradient into the teacher (Eq. 7-8)"] = True,
        temperature: Annotated[float, "temperature of the contrast (Eq. 9)", Range(1e-3)] = 0.2,
        contrast: Annotated[Literal["mean", "sum"], "over experts (Eq. 9)"] = "mean",
        queue: Annotated[int, "Q, negatives an expert keeps (Sec. VI-C)", Range(1)] = 1024,
        projection: Annotated[int, "width of the contrastive space", Range(1)] = 64,
        head: Annotated[
            Literal["linear", "cosine"], "both class heads; cosine on the large sets (Sec. VI-C)"
        ] = "linear",
        scale: Annotated[float, "of a cosine head's logits", Range(1e-3)] = 16.0,
        key_momentum: Annotated[float, "momentum of the key networks (He et al. 2020)", Range(0, 1)] = 0.999,
    ):
        heads = partial(CosineHeads, scale=scale) if head == "cosine" else Heads
        super().__init__(counts, net, experts, heads)
        distil = alpha > 0 and experts > 1  # alpha = 0 is the CPT row of Table III: a reference head has no use there
        self.alpha, self.beta, self.tau = alpha, beta, tau
        self.bkt, self.fld, self.cpt, self.reweight = bkt and distil, fld and distil, cpt and beta > 0, reweight
        self.kd_temperature, self.kd_on, self.detach = kd_temperature, kd_on, detach
        self.temperature, self.contrast = temperature, contrast
        self.ref = heads(experts, net.feature_dim, self.classes) if self.bkt and ref else None
        if not self.cpt:
            self.views = ("strong",)
            return
        self.projector = Projectors(experts, net.feature_dim, projection)
        self.key = MomentumCopy(key_momentum, self.encoders, self.projector)
        self.queue = Queue(experts, self.clip_queue_length(queue), projection)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        a, y = batch.views[0], batch.y
        v = self.encoders(a)  # (K, N, d)
        z, r = self.cls(v), self.ref(v) if self.ref else None  # (K, N, C)
        terms = {"bc": self.bc(z, y)}  # Eq. 3
        if self.ref:
            terms["bc_ref"] = self.bc(r, y)  # Eq. 10
        if self.bkt:
            w = transfer_weight(z, r, y) if self.ref and self.reweight else None  # Eq. 5-6
            u = z if self.kd_on == "raw" else z + self.tau * self.log_prior
            terms["logit"] = self.alpha * self.distil(u, w)  # Eq. 7
        if self.fld:
            terms["feature"] = self.alpha * self.distil(v)  # Eq. 8
        if self.cpt:
            terms["contrast"] = self.beta * self.contrast_with_keys(v, batch.views[1])  # Eq. 9
        return terms  # Eq. 11 is their sum

    def bc(self, z: Tensor, y: Tensor) -> Tensor:
        return balanced_cross_entropy(z, y, self.log_prior, self.tau).mean()

    def distil(self, outputs: Tensor, weight: Tensor | None = None) -> Tensor:
        return pairwise_kl(outputs, weight, self.kd_temperature, self.detach)

    def contrast_with_keys(self, v: Tensor, b: Tensor) -> Tensor:
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

"""Collaborative distillation between K experts (ECL, Eq. 5-8; NCL), and its opposite (RIDE)."""

import torch
from torch import Tensor

from longtail.losses.classification import cross_entropy

MIN_REFERENCE_LOSS = (
    1e-3  # floor of the reference entropy in Eq. 6, so that a certain reference head cannot make w infinite
)


def transfer_weight(cls_logits: Tensor, ref_logits: Tensor, labels: Tensor) -> Tensor:
    """Weight of each sample in balanced knowledge transfer: large where cls is less sure of the truth than ref (ECL, Eq. 5-6).

    (K, N, C) x 2, (N,) -> (K, N), detached. Each head's logits are first divided by their (sample) standard deviation over
    the C classes. The paper prints the two fractions of Eq. 6 as reciprocals; this is the one that its text describes.
    """
    cls, ref = (cross_entropy(_standardize(z.detach()), labels) for z in (cls_logits, ref_logits))
    return cls / ref.clamp_min(MIN_REFERENCE_LOSS)


def _standardize(logits: Tensor) -> Tensor:
    centred = logits - logits.mean(-1, keepdim=True)  # changes no cross-entropy, and keeps constant logits finite
    return centred / logits.std(-1, keepdim=True).clamp_min(torch.finfo(logits.dtype).tiny)


def pairwise_kl(outputs: Tensor, weight: Tensor | None = None, temperature: float = 1.0, detach: bool = True) -> Tensor:
    """Mean over ordered pairs of experts and over samples of w T^2 KL(teacher || student), in nats (ECL, Eq. 7-8).

    (K, N, C), weight (K, N) of the student or None for 1 -> (). With detach, no gradient reaches the teachers. A single
    expert has no pair and gives 0.
    """
    experts = outputs.shape[0]
    if experts < 2:
        return outputs.new_zeros(())
    student = (outputs / temperature).log_softmax(-1)
    teacher = student.detach() if detach else student
    gap = teacher.unsqueeze(0) - student.unsqueeze(1)  # (student k, teacher q, N, C), zero on the diagonal
    per_student = (teacher.exp().unsqueeze(0) * gap).sum((1, 3))
    if weight is not None:
        per_student = per_student * weight
    return temperature**2 * per_student.mean(-1).sum() / (experts * (experts - 1))


def hard_categories(logits: Tensor, labels: Tensor, number: int) -> Tensor:
    """The classes of each sample that are easiest to take for its own, after its own (Li et al. 2022, NCL): the hardest first.

    (..., N, C), (N,) -> (..., N, number) class indices, the label in front of the number - 1 others of largest logit.
    """
    own = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    return logits.detach().scatter(-1, own, torch.inf).topk(number, dim=-1).indices


def divergence_from_mean(logits: Tensor, temperature: Tensor) -> Tensor:
    """T^2 KL(all || expert) of each expert from the mean logits, which get no gradient, in nats (Wang et al. 2021, RIDE).

    (K, N, C), one temperature a class (C,) -> (K, N); T is their mean. The paper prints the mean over the other experts'
    divergences; this is the authors' code, linear in K, by which its results were made.
    """
    expert = (logits / temperature).log_softmax(-1)
    everyone = (logits.mean(0).detach() / temperature).log_softmax(-1)
    return temperature.mean() ** 2 * (everyone.exp() * (everyone - expert)).sum(-1)

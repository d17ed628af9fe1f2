"""Distillation: between K experts (ECL, Eq. 5-8; NCL: Li et al. 2022), its opposite (RIDE: Wang et al. 2021), from a teacher.

DiVE is by He et al. 2021, LFME by Xiang et al. 2020.
"""

import torch
from torch import Tensor

from longtail.losses.classification import cross_entropy

# Lower bound of the denominator of Eq. 6: a reference head that is certain must not make the weight infinite.
MIN_REFERENCE_LOSS = 1e-3


def transfer_weight(cls_logits: Tensor, ref_logits: Tensor, labels: Tensor) -> Tensor:
    """Compute each sample's weight in balanced knowledge transfer (ECL, Eq. 5-6).

    (K, N, C) x 2, (N,) -> (K, N), detached. The weight is large where the head cls is less sure of the label than ref. Each
    head's logits are first divided by their sample standard deviation over the C classes. Eq. 6 prints two fractions that
    are reciprocals of each other; this function computes the one that the paper's text describes.
    """
    cls, ref = (cross_entropy(_standardize(z.detach()), labels) for z in (cls_logits, ref_logits))
    return cls / ref.clamp_min(MIN_REFERENCE_LOSS)


def _standardize(logits: Tensor) -> Tensor:
    centered = logits - logits.mean(-1, keepdim=True)  # changes no cross-entropy, and keeps constant logits finite
    return centered / logits.std(-1, keepdim=True).clamp_min(torch.finfo(logits.dtype).tiny)


def pairwise_kl(outputs: Tensor, weight: Tensor | None = None, temperature: float = 1.0, detach: bool = True) -> Tensor:
    """Compute the mean of w T^2 KL(teacher || student) over ordered pairs of experts and samples, in nats (ECL, Eq. 7-8).

    (K, N, C), weight (K, N) of the student or None for 1 -> (). With detach, no gradient reaches the teachers. A single
    expert has no pair and gives 0.
    """
    experts = outputs.shape[0]
    if experts < 2:
        return outputs.new_zeros(())
    student = (outputs / temperature).log_softmax(-1)
    teacher, anchor = student.detach() if detach else student, student[0].detach()
    weight = outputs.new_ones(outputs.shape[:2]) if weight is None else weight
    # The sum over students k of w_k (log teacher - log student) is linear in w, so no tensor holds all pairs. Differences
    # to one expert come first: where experts agree they are small, and no large terms cancel.
    students = (weight.unsqueeze(-1) * (student - anchor)).sum(0)
    log_ratio = weight.sum(0).unsqueeze(-1) * (teacher - anchor) - students  # (teacher q, N, C)
    return temperature**2 * (teacher.exp() * log_ratio).sum((0, 2)).mean() / (experts * (experts - 1))


def hard_categories(logits: Tensor, labels: Tensor, number: int) -> Tensor:
    """Return the label of each sample and the classes most easily confused with it, hardest first (Li et al. 2022, NCL).

    (..., N, C), (N,) -> (..., N, number) class indices: the label, then the number - 1 other classes of largest logit.
    """
    label_index = labels.expand(logits.shape[:-1]).unsqueeze(-1)
    return logits.detach().scatter(-1, label_index, torch.inf).topk(number, dim=-1).indices


def divergence_from_mean(logits: Tensor, temperature: Tensor) -> Tensor:
    """Compute T^2 KL(mean || expert) of each expert from the mean logits, in nats (Wang et al. 2021, RIDE).

    (K, N, C), one temperature a class (C,) -> (K, N); T is their mean, and the mean logits get no gradient. The paper
    prints the mean divergence from the other experts. This is the authors' code, which made the paper's results and is
    linear in K.
    """
    expert = (logits / temperature).log_softmax(-1)
    ensemble = (logits.mean(0).detach() / temperature).log_softmax(-1)
    return temperature.mean() ** 2 * (ensemble.exp() * (ensemble - expert)).sum(-1)


def tempered_kl(student: Tensor, teacher: Tensor, temperature: float, power: float = 1.0) -> Tensor:
    """Compute T^2 KL(q || softmax(student / T)) of the teacher's q = softmax(power teacher / T), in nats (Hinton et al. 2015).

    (..., N, C) x 2 -> (..., N). q is softmax(teacher / T) to the given power, normalized; below 1 it is flatter (He et al.
    2021, DiVE).
    """
    log_q = (power * teacher / temperature).log_softmax(-1)
    log_p = (student / temperature).log_softmax(-1)
    return temperature**2 * (log_q.exp() * (log_q - log_p)).sum(-1)


def subset_kl(student: Tensor, teachers: Tensor, subset: Tensor, temperature: float) -> Tensor:
    """Compute KL(teacher || student) over the classes of each teacher, in nats (Xiang et al. 2020, LFME).

    (N, C), (S, N, C), subset (S, 1, C) bool -> (S, N), at temperature T and without T^2. Logits outside of a subset have no
    influence.
    """
    log_p, log_q = ((z / temperature).masked_fill(~subset, -torch.inf).log_softmax(-1) for z in (student, teachers))
    return (log_q.exp() * torch.where(subset, log_q - log_p, 0.0)).sum(-1)  # -inf - -inf is nan, hence the where


def expert_weight(accuracy: Tensor, enough: float) -> Tensor:
    """Compute the weight of an expert whose student catches up, by accuracies of both: (2, S) -> (S,) (Xiang et al. 2020).

    1 while the student has at most `enough` of the expert's accuracy, then in proportion to the rest, 0 where they are equal.
    """
    student, expert = accuracy
    gap = (expert - student) / expert.clamp_min(torch.finfo(expert.dtype).tiny)
    return torch.where(student <= enough * expert, 1.0, (gap / (1 - enough)).clamp(0, 1))

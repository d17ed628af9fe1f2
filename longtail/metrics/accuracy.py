"""Accuracy per class and per many-, medium- and few-shot group (Liu et al. 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from longtail.metrics.names import GROUPS


def shot_group(count: int) -> str:
    """Group of a class with so many training images: many above 100, few below 20, medium between."""
    return "many" if count > 100 else "few" if count < 20 else "medium"


def class_accuracy(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Share of each class's images that got the right label; nan for a class without images.

    (N,), (N,) -> (C,) float64
    """
    predicted, labels = torch.as_tensor(predicted), torch.as_tensor(labels)
    total = torch.bincount(labels, minlength=num_classes)
    right = torch.bincount(labels[predicted == labels], minlength=num_classes)
    return right.double() / total  # 0 / 0 is nan


def group_accuracy(predicted: Tensor, labels: Tensor, train_counts: Sequence[int]) -> dict[str, float | None]:
    """Mean of the class accuracies of each group, as a share; None for a group without a tested class (Liu et al. 2019).

    (N,), (N,), C training counts -> {"many", "medium", "few"}. Classes without test images are left out of the mean.
    """
    accuracy = class_accuracy(predicted, labels, len(train_counts))
    groups = [shot_group(int(n)) for n in train_counts]
    return {g: nanmean_or_none(accuracy[[i for i, of in enumerate(groups) if of == g]]) for g in GROUPS}


def nanmean_or_none(values: Tensor) -> float | None:
    """Mean of the values that are not nan, None if there are none."""
    mean = values.nanmean().item() if values.numel() else float("nan")
    return None if mean != mean else mean

"""Accuracy per class and per many-, medium- and few-shot group (Liu et al. 2019)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from longtail.metrics.names import GROUPS


def shot_group(count: int) -> str:
    """Return the group of a class by its number of training images: many above 100, few below 20, else medium."""
    return "many" if count > 100 else "few" if count < 20 else "medium"


def class_accuracy(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Compute the share of correctly classified images of each class; nan for a class without images.

    (N,), (N,) -> (C,) float64
    """
    predicted, labels = torch.as_tensor(predicted), torch.as_tensor(labels)
    total = torch.bincount(labels, minlength=num_classes)
    correct = torch.bincount(labels[predicted == labels], minlength=num_classes)
    return correct.double() / total  # 0 / 0 is nan


def group_accuracy(predicted: Tensor, labels: Tensor, train_counts: Sequence[int]) -> dict[str, float | None]:
    """Compute the mean class accuracy of each group, as a share; None for a group without a tested class (Liu et al. 2019).

    (N,), (N,), C training counts -> {"many", "medium", "few"}. Classes without test images do not enter the mean.
    """
    accuracy = class_accuracy(predicted, labels, len(train_counts))
    class_groups = [shot_group(int(n)) for n in train_counts]
    return {
        group: nanmean_or_none(accuracy[[c for c, class_group in enumerate(class_groups) if class_group == group]])
        for group in GROUPS
    }


def nanmean_or_none(values: Tensor) -> float | None:
    """Return the mean of the values that are not nan, or None if there are none."""
    mean = values.nanmean().item() if values.numel() else float("nan")
    return None if mean != mean else mean

"""Distance between the features of two experts (ECL, Eq. 12)."""

import torch
from torch import Tensor


def feature_distance(a: Tensor, b: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Compute each class's mean Euclidean distance between two experts' features; nan without images (ECL, Eq. 12).

    (N, d) x 2, (N,) -> (C,) float64
    """
    a, b, labels = torch.as_tensor(a), torch.as_tensor(b), torch.as_tensor(labels)
    distance = torch.linalg.vector_norm(a.double() - b.double(), dim=-1)
    total = torch.bincount(labels, distance, minlength=num_classes)
    return total / torch.bincount(labels, minlength=num_classes)

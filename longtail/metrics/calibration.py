"""Calibration of confidences (Guo et al. 2017; ECL, Eq. 13, whose printed form cancels its bins)."""

import torch
from torch import Tensor


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> tuple[Tensor, Tensor, Tensor]:
    """Share of the images, accuracy and mean confidence in equal bins of confidence, closed on the right.

    (N, C), (N,) -> three (bins,) float64; accuracy and confidence are 0 in an empty bin.
    """
    probabilities, labels = torch.as_tensor(probabilities), torch.as_tensor(labels)
    confidence, predicted = probabilities.max(-1)
    edges = torch.arange(1, bins, dtype=torch.float64) / bins
    edges = edges.to(confidence)  # in the type of the probabilities, so that a float32 0.6 is on the edge 9 / 15
    where, confidence = (
        torch.bucketize(confidence, edges),
        confidence.double(),
    )  # first edge >= confidence: right-closed
    count = torch.bincount(where, minlength=bins).double()
    filled = count.clamp_min(1)
    accuracy = torch.bincount(where, (predicted == labels).double(), minlength=bins) / filled
    mean_confidence = torch.bincount(where, confidence, minlength=bins) / filled
    return count / max(len(labels), 1), accuracy, mean_confidence


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Mean gap between confidence and accuracy over equal right-closed bins, a share in [0, 1] (ECL, Eq. 13).

    (N, C), (N,) -> float
    """
    share, accuracy, confidence = reliability(probabilities, labels, bins)
    return (share * (accuracy - confidence).abs()).sum().item()

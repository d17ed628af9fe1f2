"""Calibration of confidences (Guo et al. 2017; ECL, Eq. 13).

The printed form of Eq. 13 cancels its bins; this is the form of Guo et al.
"""

import torch
from torch import Tensor


def reliability(probabilities: Tensor, labels: Tensor, bins: int = 15) -> tuple[Tensor, Tensor, Tensor]:
    """Compute the share of images, accuracy and mean confidence in equal bins of confidence, closed on the right.

    (N, C), (N,) -> three (bins,) float64; accuracy and confidence are 0 in an empty bin.
    """
    probabilities, labels = torch.as_tensor(probabilities), torch.as_tensor(labels)
    confidence, predicted = probabilities.max(-1)
    # edges are rounded to the type of the probabilities, so that a float32 0.6 lies on the edge 9 / 15
    edges = (torch.arange(1, bins, dtype=torch.float64) / bins).to(confidence)
    bin_index = torch.bucketize(confidence, edges)  # the first edge >= confidence: bins are closed on the right
    count = torch.bincount(bin_index, minlength=bins).double()
    divisor = count.clamp_min(1)
    accuracy = torch.bincount(bin_index, (predicted == labels).double(), minlength=bins) / divisor
    mean_confidence = torch.bincount(bin_index, confidence.double(), minlength=bins) / divisor
    return count / max(len(labels), 1), accuracy, mean_confidence


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = 15) -> float:
    """Compute the mean gap between confidence and accuracy over equal right-closed bins, a share in [0, 1] (ECL, Eq. 13).

    (N, C), (N,) -> float
    """
    share, accuracy, confidence = reliability(probabilities, labels, bins)
    return (share * (accuracy - confidence).abs()).sum().item()

"""Recalibration of logits on held-out images, and the class prior of unlabeled images.

Temperature: Guo et al. 2017. Bias-corrected temperature and EM: Alexandari, Kundaje and Shrikumar 2020; EM: Saerens et al.
2002. A correction (C,) is added after the division: it moves logits to the class prior of the images, log p - log p_s.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

STEPS = 200  # of LBFGS
TOLERANCE, ROUNDS = 1e-8, 2000  # of EM: largest change of a class prior in the last round, and rounds at most


def apply_temperature(logits: Tensor, temperature: float, correction: Tensor) -> Tensor:
    """Compute log probabilities of logits / temperature + correction: (..., C), (C,) -> (..., C) float64."""
    return (logits.double() / temperature + correction.double()).log_softmax(-1)


def fit_temperature(logits: Tensor, labels: Tensor, correction: Tensor) -> float:
    """Return the temperature with the smallest negative log-likelihood of the labels, found by LBFGS.

    (N, C), (N,), (C,) -> float. A standard normal prior on the logarithm of the temperature counts like one image; the
    best temperature of images that are all classified correctly would be 0 without the prior.
    """
    z, log_t = logits.double(), torch.zeros((), dtype=torch.float64, requires_grad=True)

    def compute_loss() -> Tensor:
        likelihood = cross_entropy(z / log_t.exp() + correction.double(), labels, reduction="sum")
        return (likelihood + log_t.square() / 2) / len(labels)

    minimize(compute_loss, [log_t])
    return log_t.exp().item()


def fit_bias_corrected(logits: Tensor, labels: Tensor, correction: Tensor) -> tuple[float, Tensor]:
    """Return the temperature and a bias for each class that together have the largest posterior, found by LBFGS.

    (N, C), (N,), (C,) -> float, (C,) float64. Standard normal priors, as in `fit_temperature`, hold the bias of a class
    with few images near 0. (Alexandari et al. have none, which suits classes with many images only.)
    """
    z, log_t = logits.double(), torch.zeros((), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(z.shape[-1], dtype=torch.float64, requires_grad=True)

    def compute_loss() -> Tensor:
        likelihood = cross_entropy(z / log_t.exp() + correction.double() + bias, labels, reduction="sum")
        return (likelihood + (log_t.square() + bias.square().sum()) / 2) / len(labels)

    minimize(compute_loss, [log_t, bias])
    return log_t.exp().item(), bias.detach()


def minimize(compute_loss: Callable[[], Tensor], parameters: list[Tensor]) -> None:
    """Minimize a loss over float64 parameters by LBFGS with line search, in place."""
    optimizer = torch.optim.LBFGS(
        parameters, max_iter=STEPS, tolerance_grad=1e-9, tolerance_change=1e-12, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = compute_loss()
        value.backward()
        return value

    with torch.enable_grad():
        optimizer.step(closure)


def estimate_prior(log_probabilities: Tensor, log_source: Tensor) -> Tensor:
    """Estimate the class frequencies of unlabeled images by EM: (N, C), (C,) -> (C,) float64.

    `log_probabilities` are log p(y|x) under the class prior `log_source`; they must be calibrated. Each round weighs them by
    the ratio of the priors (E), and takes the mean of each class (M). A class that `log_source` gives 0 stays at 0.
    """
    source = log_source.double().softmax(-1)
    likelihood = torch.where(source > 0, log_probabilities.double().exp() / source.clamp_min(1e-300), 0.0)
    prior = source
    for _ in range(ROUNDS):
        joint = likelihood * prior
        new = (joint / joint.sum(-1, keepdim=True).clamp_min(1e-300)).mean(0)
        change, prior = (new - prior).abs().max().item(), new
        if change < TOLERANCE:
            break
    return prior

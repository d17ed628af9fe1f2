"""Loss and accuracy along random, filter-normalized directions from the trained weights (Li et al. 2018; ECL, Fig. 8)."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import ALL, GAP, INK, Panels, add_legend_above, format_percent
from longtail.evaluate import compute_logits, read_inputs
from longtail.losses import cross_entropy
from longtail.methods import Method

LAYOUT = Panels(size=(7.6, 3.1), widths=(1, 1))
DIRECTIONS, STEPS, IMAGES = 5, 21, 400


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute the ensemble's cross-entropy in nats and accuracy in percent at each step along each direction.

    Returns step (S,) in [-1, 1], loss and accuracy (D, S), and images (), at most 400 test images that are the same for
    every run of these data.
    """
    chosen = draw_positions(outputs.labels, IMAGES)
    images = read_inputs(outputs.test_inputs, chosen.tolist(), outputs.transform_set)
    labels, method = outputs.labels[chosen], outputs.method
    # the seed of a direction is its number, so runs of one network share their directions
    steps = np.linspace(-1, 1, STEPS)
    loss, accuracy = np.empty((DIRECTIONS, STEPS)), np.empty((DIRECTIONS, STEPS))
    for d in range(DIRECTIONS):
        direction = draw_direction(method, torch.Generator().manual_seed(d))
        for s, step in enumerate(steps):
            with move_weights(method, direction, float(step)):
                z = compute_logits(method, images, outputs.transform_set).mean(0)
            loss[d, s] = cross_entropy(z.double(), labels).mean().item()
            accuracy[d, s] = 100 * (z.argmax(-1) == labels).double().mean().item()
    return {"step": steps, "loss": loss, "accuracy": accuracy, "images": np.array(len(chosen))}


def draw_positions(labels: Tensor, size: int) -> Tensor:
    """Draw the positions of at most `size` images with a fixed seed; (N,) -> (n,), ascending."""
    return torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:size].sort().values


def get_inference_parameters(method: Method) -> dict[str, Tensor]:
    """Return the parameters that logits depend on, by name."""
    prefixes = tuple(f"{name}." for name in method.inference)
    return {name: p for name, p in method.named_parameters() if name.startswith(prefixes)}


def draw_direction(method: Method, generator: torch.Generator) -> dict[str, Tensor]:
    """Draw a Gaussian direction whose filters have the norms of the weights' filters (Li et al. 2018, Sec. 4).

    A filter makes one output: (in, h, w) of a convolution, (in,) of a linear layer or of each expert's head. The
    direction is zero for batch norm, biases and scales.
    """
    return {
        name: normalize_filters(torch.randn(weight.shape, generator=generator).to(weight), weight.detach())
        if weight.dim() > 1 and name.endswith("weight")
        else torch.zeros_like(weight)
        for name, weight in get_inference_parameters(method).items()
    }


def normalize_filters(direction: Tensor, weight: Tensor) -> Tensor:
    """Rescale each filter of a direction to the norm of the weight's filter; (out, in, h, w) or (..., in)."""
    axes = (1, 2, 3) if weight.dim() == 4 else (-1,)
    # a zero direction stays zero instead of nan
    norm, target = (torch.linalg.vector_norm(t, dim=axes, keepdim=True) for t in (direction, weight))
    return direction * (target / norm.clamp_min(torch.finfo(norm.dtype).tiny))


@contextmanager
def move_weights(method: Method, direction: dict[str, Tensor], step: float) -> Iterator[None]:
    """Move the weights by `step` along the direction inside, and restore the same bits afterwards."""
    weights = get_inference_parameters(method)
    original = {name: weight.detach().clone() for name, weight in weights.items()}
    with torch.no_grad():
        try:
            for name, weight in weights.items():
                weight.add_(direction[name], alpha=step)
            yield
        finally:
            for name, weight in weights.items():
                weight.copy_(original[name])


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw the loss on the left and the accuracy on the right: thin lines for directions, a thick line for the mean."""
    panels = (("loss", GAP, "cross-entropy (nats)"), ("accuracy", ALL, "accuracy (%)"))
    for ax, (key, color, label) in zip(axes, panels, strict=True):
        thin = ax.plot(arrays["step"], arrays[key].T, color=color, linewidth=0.8, alpha=0.5)
        ax.plot(arrays["step"], arrays[key].mean(0), color=color, linewidth=2.4, label="mean")
        thin[0].set_label(f"{len(thin)} directions, {arrays['images']} images")
        ax.axvline(0, color=INK, linewidth=0.8, linestyle=":")
        ax.set(
            xlabel="step along a direction, in filter norms", ylabel=label, xlim=(-1, 1), xticks=[-1, -0.5, 0, 0.5, 1]
        )
        add_legend_above(ax)
    axes[0].set_ylim(bottom=0)
    axes[1].set_ylim(0, 100)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe loss and accuracy at the trained weights, half a filter norm away, and at the ends."""
    middle, loss, accuracy = len(arrays["step"]) // 2, arrays["loss"].mean(0), arrays["accuracy"].mean(0)
    half = np.abs(np.abs(arrays["step"]) - 0.5).argmin()
    steps = (("at the trained weights", middle), ("half a filter norm away", half), ("one filter norm away", 0))
    values = [
        f"{(loss[i] + loss[-1 - i]) / 2:.2f} nats and {format_percent((accuracy[i] + accuracy[-1 - i]) / 2)} {text}"
        for text, i in steps
    ]
    return f"Mean loss and accuracy over {len(arrays['loss'])} directions, both signs: {'; '.join(values)}."

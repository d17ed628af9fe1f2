"""Loss and accuracy around the trained weights along random, filter-normalized directions (Li et al. 2018; ECL, Fig. 8)."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import ALL, GAP, INK, Panels, add_legend_above, format_percent
from longtail.evaluate import compute_logits, read_pixels
from longtail.losses import cross_entropy
from longtail.methods import Method

LAYOUT = Panels(size=(7.6, 3.1), widths=(1, 1))
DIRECTIONS, STEPS, IMAGES = 5, 21, 400


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """At each step of [-1, 1] along each of five directions: cross-entropy in nats and accuracy in percent of the ensemble.

    On 400 test images, the same for every run of these data; `loss` and `accuracy` are (directions, steps).
    """
    chosen = draw_subset(outputs.labels, IMAGES)
    images = read_pixels(outputs.split.test, chosen.tolist(), outputs.transform_set)
    labels, method = outputs.labels[chosen], outputs.method
    steps, found = np.linspace(-1, 1, STEPS), np.empty((2, DIRECTIONS, STEPS))
    for d in range(DIRECTIONS):
        direction = random_direction(method, torch.Generator().manual_seed(d))
        for s, step in enumerate(steps):
            with moved_weights(method, direction, float(step)):
                z = compute_logits(method, images, outputs.transform_set).mean(0)
            right = (z.argmax(-1) == labels).double().mean().item()
            found[:, d, s] = cross_entropy(z.double(), labels).mean().item(), 100 * right
    return {"step": steps, "loss": found[0], "accuracy": found[1], "images": np.array(len(chosen))}


def draw_subset(labels: Tensor, size: int) -> Tensor:
    """Positions of at most `size` images, drawn with a fixed seed; (N,) -> (n,), ascending."""
    return torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))[:size].sort().values


def inference_parameters(method: Method) -> dict[str, Tensor]:
    """The parameters that logits depend on."""
    prefixes = tuple(f"{name}." for name in method.inference)
    return {name: p for name, p in method.named_parameters() if name.startswith(prefixes)}


def random_direction(method: Method, generator: torch.Generator) -> dict[str, Tensor]:
    """A Gaussian direction, each filter of it as long as the filter of the weights; zero for batch norm, biases, and scales.

    A filter is what makes one output: (in, h, w) of a convolution, (in,) of a linear layer or of each expert's head.
    """
    return {
        name: normalize_filters(torch.randn(weight.shape, generator=generator).to(weight), weight.detach())
        if weight.dim() > 1 and name.endswith("weight")
        else torch.zeros_like(weight)
        for name, weight in inference_parameters(method).items()
    }


def normalize_filters(direction: Tensor, weight: Tensor) -> Tensor:
    """The direction with each filter rescaled to the norm of the weight's; a convolution is (out, in, h, w), a head (..., in)."""
    axes = (1, 2, 3) if weight.dim() == 4 else (-1,)
    own, wanted = (torch.linalg.vector_norm(t, dim=axes, keepdim=True) for t in (direction, weight))
    return direction * (wanted / own.clamp_min(torch.finfo(own.dtype).tiny))


@contextmanager
def moved_weights(method: Method, direction: dict[str, Tensor], step: float) -> Iterator[None]:
    """Within it the weights are `step` away along the direction; afterwards they are bit for bit what they were."""
    weights = inference_parameters(method)
    kept = {name: weight.detach().clone() for name, weight in weights.items()}
    with torch.no_grad():
        try:
            for name, weight in weights.items():
                weight.add_(direction[name], alpha=step)
            yield
        finally:
            for name, weight in weights.items():
                weight.copy_(kept[name])


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Left the loss, right the accuracy: a thin line for each direction, their mean thick."""
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
    """Loss and accuracy at the trained weights, half-way out, and at the ends."""
    middle, loss, accuracy = len(arrays["step"]) // 2, arrays["loss"].mean(0), arrays["accuracy"].mean(0)
    half = np.abs(np.abs(arrays["step"]) - 0.5).argmin()
    where = (("at the trained weights", middle), ("half a filter norm away", half), ("one filter norm away", 0))
    parts = [
        f"{(loss[i] + loss[-1 - i]) / 2:.2f} nats and {format_percent((accuracy[i] + accuracy[-1 - i]) / 2)} {text}"
        for text, i in where
    ]
    return f"Mean loss and accuracy over {len(arrays['loss'])} directions and both ways: {'; '.join(parts)}."

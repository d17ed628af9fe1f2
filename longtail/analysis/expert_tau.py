"""Accuracy of every single expert after logit adjustment with many strengths tau (ECL, Sec. IV and Eq. 4)."""

import numpy as np
from torch import Tensor

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import EXPERTS, INK, Panels, add_legend_above, format_percent
from longtail.losses import adjust_logits
from longtail.methods import Method

LAYOUT = Panels(size=(4.6, 3.3))
TAUS = np.arange(0, 41) / 20


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute the accuracy in percent of each expert and of the ensemble at each tau, counted from the training prior.

    Logits trained for a uniform prior, as those of NCL and ECL, first get the training prior back: tau = 1 is then the
    model as trained. Returns tau (41,), trained (), "expert 1" to "expert K" and ensemble, (41,) each.
    """
    labels, log_prior = outputs.labels, outputs.method.log_prior.cpu()
    trained = find_trained_tau(outputs.method)
    z = outputs.logits + trained * log_prior
    models = {f"expert {k}": expert for k, expert in enumerate(z, 1)} | {"ensemble": z.mean(0)}
    accuracies = {
        name: np.array([compute_top1(model, labels, log_prior, tau) for tau in TAUS]) for name, model in models.items()
    }
    return {"tau": TAUS, "trained": np.array(trained), **accuracies}


def find_trained_tau(method: Method) -> float:
    """Return the strength of adjustment that training has already applied: 1 for a uniform prior, 0 for the training prior."""
    assumed, log_prior = method.assumed_log_prior(), method.log_prior.cpu()
    centered = log_prior - log_prior.mean()
    if assumed is None or not centered.any():
        return 0.0
    return 1 - float((assumed.cpu() * centered).sum() / (centered**2).sum())


def compute_top1(z: Tensor, labels: Tensor, log_prior: Tensor, tau: float) -> float:
    """Compute the accuracy in percent of logits (N, C) that are adjusted with tau."""
    return 100 * (adjust_logits(z, log_prior, tau).argmax(-1) == labels).double().mean().item()


def list_models(arrays: dict[str, np.ndarray]) -> list[str]:
    """Return the names of the experts among the keys of the arrays, then the ensemble."""
    return [key for key in arrays if key not in ("tau", "trained")]


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw a line for each expert and for the ensemble, a dot where each is best, and a line at the model as trained."""
    (ax,) = axes
    for k, name in enumerate(list_models(arrays)):
        color, width = (INK, 2.2) if name == "ensemble" else (EXPERTS[k % len(EXPERTS)], 1.2)
        best = arrays[name].argmax()
        ax.plot(arrays["tau"], arrays[name], color=color, linewidth=width, label=name)
        ax.plot(arrays["tau"][best], arrays[name][best], "o", color=color, markersize=5)
    ax.axvline(arrays["trained"], color=INK, linewidth=0.8, linestyle=":")
    ax.text(arrays["trained"], 0.02, " as trained", fontsize=8, transform=ax.get_xaxis_transform())
    ax.set(xlabel="tau, from the training prior (dots: best on the test images)", ylabel="accuracy (%)")
    ax.set_xlim(arrays["tau"][0], arrays["tau"][-1])
    add_legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the best tau of each expert and of the ensemble, and the accuracy there and at tau = 1."""
    one = int(np.abs(arrays["tau"] - 1).argmin())
    best = [
        f"{name} {arrays['tau'][i]:.2f} ({format_percent(arrays[name][i])}; at 1 {format_percent(arrays[name][one])})"
        for name in list_models(arrays)
        for i in [arrays[name].argmax()]
    ]
    return f"Trained at tau {arrays['trained']:.2g}. The best tau on the test images (an oracle): {', '.join(best)}."

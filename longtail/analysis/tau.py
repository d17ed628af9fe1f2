"""Accuracy after post-hoc logit adjustment with many strengths tau (Menon et al. 2021; ECL, Eq. 4)."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import ALL, GROUP, INK, Panels, add_legend_above, format_percent, nanmean
from longtail.losses import adjust_logits
from longtail.metrics import class_accuracy

LAYOUT = Panels(size=(4.6, 3.3))
TAUS = np.arange(-10, 21) / 10


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute the ensemble's accuracy in percent at each tau, of all test images and of each group.

    Returns tau, all, many, medium and few, (31,) each; a group's accuracy is the mean of its classes, nan without one.
    """
    z, labels, log_prior = outputs.logits.mean(0), outputs.labels, outputs.method.log_prior.cpu()
    groups, rows = np.array(outputs.groups), []
    for tau in TAUS:  # Eq. 4: z - tau log prior
        predicted = adjust_logits(z, log_prior, tau).argmax(-1)
        accuracy = 100 * class_accuracy(predicted, labels, len(groups)).numpy()
        rows.append(
            [100 * (predicted == labels).double().mean().item(), *(nanmean(accuracy[groups == g]) for g in GROUP)]
        )
    return {"tau": TAUS, **dict(zip(("all", *GROUP), np.array(rows).T, strict=True))}


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw a line for all images and a line for each group; tau = 0 is the model as trained."""
    (ax,) = axes
    for name, color in {"all": ALL, **GROUP}.items():
        if not np.isnan(arrays[name]).all():
            ax.plot(arrays["tau"], arrays[name], color=color, linewidth=2.2 if name == "all" else 1.4, label=name)
    ax.axvline(0, color=INK, linewidth=0.8, linestyle=":")
    ax.annotate("as trained", (0, 2), (4, 0), textcoords="offset points", fontsize=8)
    ax.set(xlabel="tau", ylabel="accuracy (%)", ylim=(0, 100))
    ax.set_xlim(arrays["tau"][0], arrays["tau"][-1])
    add_legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the accuracy as trained, and the accuracy at the tau that is best on the test images."""
    trained, best = int(np.argmin(np.abs(arrays["tau"]))), int(np.nanargmax(arrays["all"]))
    few = f", few-shot {format_percent(arrays['few'][trained])}" if not np.isnan(arrays["few"]).all() else ""
    text = f"Accuracy as trained (tau 0): {format_percent(arrays['all'][trained])}{few}. The best tau on the test images (an"
    text += f" oracle) is {arrays['tau'][best]:.1f}: {format_percent(arrays['all'][best])}"
    return text + (f", few-shot {format_percent(arrays['few'][best])}." if few else ".")

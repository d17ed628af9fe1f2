"""Accuracy against alpha, the weight of the distillations, and beta, that of the contrast (ECL, Fig. 5 and Eq. 11)."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from longtail.analysis.evidence import Evidence
from longtail.analysis.points import Point, check_alike, point, seeds_text, summary
from longtail.analysis.style import ALL, GROUP, Panels, legend_above, nothing_to_draw, percent
from longtail.errors import LongtailError

LAYOUT = Panels(size=(7.6, 3.1), widths=(1, 1))
SERIES = ("alpha", "beta")


def points(evidences: Sequence[Evidence]) -> list[Point]:
    """A point for each run in the sweep of the option by which it differs from the commonest pair, that pair being in both.

    Raises LongtailError for a method without these options, and a run in which both, or other settings, differ.
    """
    check_alike(evidences, free=SERIES)
    for evidence in evidences:
        if not set(SERIES) <= evidence.recipe.options.keys():
            raise LongtailError(f"{evidence.run.path}: {evidence.recipe.method} has not both of alpha and beta")
    pairs = [tuple(evidence.recipe.options[name] for name in SERIES) for evidence in evidences]
    usual = [Counter(values).most_common(1)[0][0] for values in zip(*pairs, strict=True)]
    found = []
    for evidence, (alpha, beta) in zip(evidences, pairs, strict=True):
        if alpha != usual[0] and beta != usual[1]:
            raise LongtailError(
                f"{evidence.run.path} has alpha {alpha} and beta {beta}, but a sweep changes one of them only, "
                f"from alpha {usual[0]} and beta {usual[1]}"
            )
        if beta == usual[1]:
            found.append(point("alpha", alpha, evidence))
        if alpha == usual[0]:
            found.append(point("beta", beta, evidence))
    return found


def compute(points: Iterable[Point]) -> dict[str, np.ndarray]:
    """Per series ("alpha", "beta") and value: mean and deviation over seeds of the accuracies in percent, number of seeds."""
    return summary(points)


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """A panel for each weight: accuracy of all and of the few-shot classes, the deviation over seeds as bars."""
    for ax, name in zip(axes, SERIES, strict=True):
        at = arrays["series"] == name
        if not at.any():
            nothing_to_draw(ax, f"no run for {name}")
            continue
        for key, colour, label in (("all", ALL, "all"), ("few", GROUP["few"], "few-shot")):
            x, mean, sd = (arrays[k][at] for k in ("x", key, f"{key}_sd"))
            if not np.isnan(mean).all():
                ax.errorbar(x, mean, sd, color=colour, marker="o", markersize=4, capsize=3, label=label)
        ax.set(xlabel=f"{name} (Eq. 11)", ylabel="accuracy (%)")
        if at.sum() <= 8:
            ax.set_xticks(arrays["x"][at], [f"{x:g}" for x in arrays["x"][at]])
        ax.margins(0.1, 0.2)
        legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """The best and the worst value of each weight."""
    text = f"Mean over {seeds_text(arrays)}."
    for name in SERIES:
        at = np.flatnonzero(arrays["series"] == name)
        if len(at) > 1:
            best, worst = at[arrays["all"][at].argmax()], at[arrays["all"][at].argmin()]
            text += (
                f" {name} from {arrays['x'][at].min():g} to {arrays['x'][at].max():g}: best {percent(arrays['all'][best])} at "
                f"{arrays['x'][best]:g}, worst {percent(arrays['all'][worst])} at {arrays['x'][worst]:g}."
            )
    return text

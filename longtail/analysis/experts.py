"""Accuracy of all and of few-shot classes against the number of experts, single and together (ECL, Fig. 4)."""

from collections.abc import Iterable, Sequence

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.points import Point, build_point, check_alike, count_experts, format_seeds, summarize_points
from longtail.analysis.style import ALL, EXPERTS, GROUP, Panels, add_legend_above, draw_placeholder, format_percent

LAYOUT = Panels(size=(7.6, 3.1), widths=(1, 1))
PANELS = {"all": "accuracy, all classes (%)", "few": "accuracy, few-shot classes (%)"}
SINGLE = {"all": "single", "few": "single_few"}  # the same of a single expert, on average


def collect_points(runs: Sequence[RunOutputs]) -> list[Point]:
    """Return a point for each run: the method is the series, and the number of experts K is x.

    Rate and decay may differ if all experts move at one pace. Raises LongtailError if runs of one method differ in more.
    """
    check_alike(runs, free=("experts", "lr", "weight_decay") if differ_at_one_pace(runs) else ("experts",))
    return [build_point(outputs.recipe.method, count_experts(outputs), outputs) for outputs in runs]


def differ_at_one_pace(runs: Sequence[RunOutputs]) -> bool:
    """Return whether rates differ so that K experts have K times the rate of one and a K-th of its decay (Eq. 10 averages)."""
    paces = set()
    for outputs in runs:
        recipe, k = outputs.recipe, count_experts(outputs)
        paces.add((recipe.method, f"{recipe.lr / k:.6g}", f"{recipe.weight_decay * k:.6g}"))
    methods, rates = {outputs.recipe.method for outputs in runs}, {outputs.recipe.lr for outputs in runs}
    return len(paces) == len(methods) and len(rates) > 1


def compute(points: Iterable[Point]) -> dict[str, np.ndarray]:
    """Compute mean and standard deviation over seeds of both accuracies in percent, for each series and K."""
    return summarize_points(points)


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw lines for each series, solid for the ensemble, dashed for its single experts; error bars are over seeds."""
    series = list(dict.fromkeys(arrays["series"].tolist()))
    colors = {"all": ALL, "few": GROUP["few"]}
    for ax, (key, label) in zip(axes, PANELS.items(), strict=True):
        if np.isnan(arrays[key]).all():
            draw_placeholder(ax, "n/a: no few-shot class has test images")
            continue
        # one series has the color of its group, several series have a color each
        for i, name in enumerate(series):
            in_series = arrays["series"] == name
            color = colors[key] if len(series) == 1 else EXPERTS[i % len(EXPERTS)]
            for of, model, style in ((key, "ensemble", "-"), (SINGLE[key], "single expert", "--")):
                x, mean, sd = (arrays[k][in_series] for k in ("x", of, f"{of}_sd"))
                options = {"color": color, "linestyle": style, "marker": "o", "markersize": 4, "capsize": 3}
                if not np.isnan(mean).all():
                    ax.errorbar(x, mean, sd, label=f"{name}, {model}", **options)
        ax.set(xlabel="experts K", ylabel=label)
        ax.set_xticks(np.unique(arrays["x"]))
        ax.margins(0.12, 0.2)
        add_legend_above(ax, columns=2)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe both accuracies of each series at the smallest and the largest K."""
    text = f"Mean over {format_seeds(arrays)}."
    for name in dict.fromkeys(arrays["series"].tolist()):
        rows = np.flatnonzero(arrays["series"] == name)
        ends = [
            f"K = {arrays['x'][i]:g}: all {format_percent(arrays['all'][i])} (single {format_percent(arrays['single'][i])}), "
            f"few-shot {format_percent(arrays['few'][i])} (single {format_percent(arrays['single_few'][i])})"
            for i in dict.fromkeys((rows[0], rows[-1]))
        ]
        text += f" {name} with {'; with '.join(ends)}."
    return text

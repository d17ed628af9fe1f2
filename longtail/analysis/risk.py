"""Risk against coverage: errors if only the most confident images are answered (El-Yaniv and Wiener 2010)."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import ALL, GROUP, Panels, add_legend_above, format_percent

LAYOUT = Panels(size=(4.6, 3.3))
POINTS = np.arange(1, 101)  # percent of the images that are answered


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute the errors in percent among answered images at each coverage, of all images and of each group.

    Images are answered in the order of their calibrated confidence. Returns coverage, all, many, medium and few, (100,)
    each; nan where no image of a group is answered.
    """
    probabilities = (outputs.logits.mean(0).double() / outputs.calibration.temperature).softmax(-1)
    confidence, predicted = (values.numpy() for values in probabilities.max(-1))
    labels = outputs.labels.numpy()
    order = np.argsort(-confidence, kind="stable")
    is_wrong, group = (predicted != labels)[order], np.array(outputs.groups)[labels][order]
    answered = -(-POINTS * len(labels) // 100)
    rows = {"all": np.ones(len(labels), dtype=bool)} | {name: group == name for name in GROUP}
    risks = {}
    for name, row in rows.items():
        errors, images = np.cumsum(is_wrong & row)[answered - 1], np.cumsum(row)[answered - 1]
        risks[name] = 100 * np.divide(errors, images, out=np.full(len(POINTS), np.nan), where=images > 0)
    return {"coverage": POINTS.astype(float), **risks}


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw a line for all images and a line for each group."""
    (ax,) = axes
    for name, color in {"all": ALL, **GROUP}.items():
        if not np.isnan(arrays[name]).all():
            ax.plot(arrays["coverage"], arrays[name], color=color, linewidth=2.2 if name == "all" else 1.4, label=name)
    highest = max(np.nanmax(arrays[name]) for name in ("all", *GROUP) if not np.isnan(arrays[name]).all())
    ax.set(xlabel="images answered, the most confident first (%)", ylabel="errors (%)", xlim=(0, 100))
    ax.set_ylim(0, max(1.05 * highest, 1))
    add_legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the errors if all images, and if four of five are answered."""
    whole, part = arrays["all"][-1], arrays["all"][POINTS == 80][0]
    few = arrays["few"][-1], arrays["few"][POINTS == 80][0]
    text = (
        f"Errors among all test images: {format_percent(whole)}; among the most confident 80 %: {format_percent(part)}."
    )
    if np.isnan(few[0]):
        return text
    return f"{text} Of few-shot classes: {format_percent(few[0])} and {format_percent(few[1])}."

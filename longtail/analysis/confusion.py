"""The confusion matrix on a logarithmic scale (ECL, Fig. 10)."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import MAP, Panels, format_percent, shorten

LAYOUT = Panels(size=(3.46, 3.1))
SIDE = 400  # most blocks a side; a figure on a screen has no more pixels
LARGER = {"few": ("many", "medium"), "medium": ("many",)}


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Count the test images by true class and the ensemble's prediction; the class with most training images first.

    Returns matrix (C, C), indexed [prediction, truth], and name and group, (C,) each.
    """
    order, labels = outputs.order, outputs.labels.numpy()
    rank = np.argsort(order)
    predicted = outputs.logits.mean(0).argmax(-1).numpy()
    matrix = np.zeros((len(order), len(order)), dtype=np.int32)
    np.add.at(matrix, (rank[predicted], rank[labels]), 1)
    return {"matrix": matrix, "name": np.array(outputs.names)[order], "group": np.array(outputs.groups)[order]}


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw log(1 + images), the truth to the right and the prediction upwards."""
    (ax,) = axes
    matrix, classes = arrays["matrix"], len(arrays["matrix"])
    block = -(-classes // SIDE)
    starts = np.arange(0, classes, block)
    summed = np.add.reduceat(np.add.reduceat(matrix, starts, 0), starts, 1)
    edges = (-0.5, len(starts) * block - 0.5)
    # the scale ends at the test images of the largest block, which are equal for all runs of these data
    largest = max(summed.sum(0).max(), 1)
    image = ax.imshow(
        np.log1p(summed), MAP, origin="lower", extent=edges * 2, interpolation="nearest", vmin=0, vmax=np.log1p(largest)
    )
    unit = f" (blocks of {block} x {block} classes)" if block > 1 else ""
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85, pad=0.03, label=f"test images{unit}")
    ticks = [n for n in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if n <= largest]
    bar.set_ticks(np.log1p(ticks), labels=[f"{n:,}" for n in ticks])
    bar.outline.set_visible(False)
    ax.grid(False)
    ax.set(xlim=(-0.5, classes - 0.5), ylim=(-0.5, classes - 0.5))
    borders = np.flatnonzero(arrays["group"][1:] != arrays["group"][:-1]) + 0.5
    for draw_line in (ax.axvline, ax.axhline):
        for border in borders:
            draw_line(border, color="white", linewidth=0.7, linestyle=(0, (4, 3)), alpha=0.8)
    label_axes(ax, arrays["name"])


def label_axes(ax, names: np.ndarray) -> None:
    """Label both axes with class names, or with ranks where there are more than 12 classes."""
    if len(names) <= 12:
        labels = [shorten(name) for name in names]
        is_rotated = max(map(len, labels)) > 2
        alignment = "right" if is_rotated else "center"
        ax.set_xticks(range(len(labels)), labels, rotation=60 if is_rotated else 0, ha=alignment)
        ax.set_yticks(range(len(labels)), labels)
        ax.set(xlabel="truth", ylabel="prediction")
    else:
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_major_locator().set_params(integer=True, nbins=5)
        ax.set(xlabel="truth (rank by training images)", ylabel="prediction (rank)")


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the share of correct predictions, and how often rare classes are predicted as frequent classes."""
    matrix, group = arrays["matrix"], arrays["group"]
    total = matrix.sum()
    text = f"{format_percent(100 * np.trace(matrix) / total)} of {total:,} test images are classified correctly."
    for name, larger in LARGER.items():
        lost = matrix[np.ix_(np.isin(group, larger), group == name)].sum()
        images = matrix[:, group == name].sum()
        if images and np.isin(group, larger).any():
            share = format_percent(100 * lost / images)
            text += f" Of the {name}-shot images {share} are predicted as {'-shot or '.join(larger)}-shot classes."
    wrong = matrix - np.diag(np.diag(matrix))
    worst = np.unravel_index(wrong.argmax(), wrong.shape)
    if wrong[worst]:
        text += (
            f" The most frequent confusion is {arrays['name'][worst[1]]} predicted as {arrays['name'][worst[0]]}: "
            f"{wrong[worst]:,} images."
        )
    return text

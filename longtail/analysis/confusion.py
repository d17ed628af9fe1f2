"""What is taken for what: the confusion matrix on a logarithmic scale (ECL, Fig. 10)."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import MAP, Panels, format_percent, shorten

LAYOUT = Panels(size=(3.46, 3.1))
SIDE = 400  # blocks a side; a screen has no more pixels for it
LARGER = {"few": ("many", "medium"), "medium": ("many",)}


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """`matrix[prediction, truth]`, test images by the ensemble's choice; classes from the most training images to the fewest."""
    order, labels = outputs.order, outputs.labels.numpy()
    rank = np.argsort(order)
    predicted = outputs.logits.mean(0).argmax(-1).numpy()
    matrix = np.zeros((len(order), len(order)), dtype=np.int32)
    np.add.at(matrix, (rank[predicted], rank[labels]), 1)
    return {"matrix": matrix, "name": np.array(outputs.names)[order], "group": np.array(outputs.groups)[order]}


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """The matrix as log(1 + images), truth to the right and prediction upwards."""
    (ax,) = axes
    matrix, classes = arrays["matrix"], len(arrays["matrix"])
    block = -(-classes // SIDE)
    starts = np.arange(0, classes, block)
    summed = np.add.reduceat(np.add.reduceat(matrix, starts, 0), starts, 1)
    edges = (-0.5, len(starts) * block - 0.5)
    largest = max(summed.sum(0).max(), 1)  # test images of a class: one scale for all runs
    drawn = ax.imshow(
        np.log1p(summed), MAP, origin="lower", extent=edges * 2, interpolation="nearest", vmin=0, vmax=np.log1p(largest)
    )
    each = f" ({block} classes a side)" if block > 1 else ""
    bar = ax.figure.colorbar(drawn, ax=ax, shrink=0.85, pad=0.03, label=f"test images{each}")
    marks = [n for n in (0, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000) if n <= largest]
    bar.set_ticks(np.log1p(marks), labels=[f"{n:,}" for n in marks])
    bar.outline.set_visible(False)
    ax.grid(False)
    ax.set(xlim=(-0.5, classes - 0.5), ylim=(-0.5, classes - 0.5))
    ends = np.flatnonzero(arrays["group"][1:] != arrays["group"][:-1]) + 0.5
    for draw_line in (ax.axvline, ax.axhline):
        for end in ends:
            draw_line(end, color="white", linewidth=0.7, linestyle=(0, (4, 3)), alpha=0.8)
    label_axes(ax, arrays["name"])


def label_axes(ax, names: np.ndarray) -> None:
    """Names on both sides where they fit, ranks where not."""
    names = [shorten(name) for name in names]
    if len(names) <= 12:
        turned = max(map(len, names)) > 2
        ax.set_xticks(range(len(names)), names, rotation=60 if turned else 0, ha="right" if turned else "center")
        ax.set_yticks(range(len(names)), names)
        ax.set(xlabel="truth", ylabel="prediction")
    else:
        for axis in (ax.xaxis, ax.yaxis):
            axis.get_major_locator().set_params(integer=True, nbins=5)
        ax.set(xlabel="truth (rank by training images)", ylabel="prediction (rank)")


def describe(arrays: dict[str, np.ndarray]) -> str:
    """How often the truth is met, and how much of the rare classes is lost to the frequent ones."""
    matrix, group = arrays["matrix"], arrays["group"]
    total = matrix.sum()
    if not total:
        return "There is no test image."
    text = f"{format_percent(100 * np.trace(matrix) / total)} of {total:,} test images are on the diagonal."
    for name, larger in LARGER.items():
        lost = matrix[np.ix_(np.isin(group, larger), group == name)].sum()
        images = matrix[:, group == name].sum()
        if images and np.isin(group, larger).any():
            share = format_percent(100 * lost / images)
            text += f" Of {name}-shot images {share} are taken for classes with more training images"
            text += f" ({' or '.join(larger)})."
    wrong = matrix - np.diag(np.diag(matrix))
    worst = np.unravel_index(wrong.argmax(), wrong.shape)
    if wrong[worst]:
        text += (
            f" Most often {arrays['name'][worst[1]]} is taken for {arrays['name'][worst[0]]}: {wrong[worst]:,} images."
        )
    return text

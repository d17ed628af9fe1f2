"""Loss terms and test accuracy of every epoch."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import (
    ALL,
    EXPERTS,
    GROUP,
    INK,
    Panels,
    add_legend_above,
    draw_placeholder,
    format_percent,
    set_log_axis,
)

LAYOUT = Panels(size=(7.6, 3.1), widths=(1, 1))
NOT_TERMS = ("epoch", "stage", "lr", "seconds", "peak_memory_mb")
TESTED = {"top1": ("all", ALL), **{name: (name, color) for name, color in GROUP.items()}}


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Return the columns of metrics.csv that are drawn (epoch, stage, loss, its terms, test_*), nan for an empty cell."""
    rows = outputs.run.metrics
    columns = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in NOT_TERMS[1:]]
    arrays = {key: np.array([np.nan if row.get(key) is None else row[key] for row in rows]) for key in columns}
    return arrays | {"stage": np.array([row["stage"] for row in rows])}


def list_terms(arrays: dict[str, np.ndarray]) -> list[str]:
    """Return the names of the loss terms, without their sum and without metrics of a subset."""
    return [key for key in arrays if key not in (*NOT_TERMS, "loss") and not key.startswith(("test_", "val_"))]


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw the loss and its weighted terms on the left, and the test accuracy of the ensemble on the right."""
    left, right = axes
    epoch, names = arrays["epoch"], list_terms(arrays)
    style = {"marker": "o", "markersize": 3} if len(epoch) < 15 else {}
    if len(names) > 1:
        left.plot(epoch, arrays["loss"], color=INK, label="loss (sum)", **style)
    for name, color in zip(names, EXPERTS * (len(names) // len(EXPERTS) + 1), strict=False):
        left.plot(epoch, arrays[name], color=color, linewidth=1.2, label=name, **style)
    values = np.concatenate([arrays[name] for name in names])
    if np.nanmin(values) > 0 and np.nanmax(values) > 30 * np.nanmin(values):
        set_log_axis(left.yaxis)
    left.set(xlabel="epoch", ylabel="training loss (nats, weighted)")
    set_epoch_axis(left, epoch)
    add_legend_above(left, columns=3)
    # a dotted line where a new stage begins
    for start in epoch[1:][arrays["stage"][1:] != arrays["stage"][:-1]]:
        for ax in axes:
            ax.axvline(start - 0.5, color=INK, linewidth=0.8, linestyle=":")
    draw_test_accuracy(right, arrays)


def draw_test_accuracy(ax, arrays: dict[str, np.ndarray]) -> None:
    """Draw the test accuracy of all images and of each group."""
    curves = {key: arrays[f"test_{key}"] for key in TESTED if f"test_{key}" in arrays}
    curves = {key: values for key, values in curves.items() if not np.isnan(values).all()}
    if not curves:
        return draw_placeholder(ax, "no epoch was tested")
    for key, values in curves.items():
        name, color = TESTED[key]
        tested = ~np.isnan(values)
        marker = "o" if tested.sum() < 15 else None
        ax.plot(arrays["epoch"][tested], values[tested], color=color, marker=marker, markersize=3.5, label=name)
    ax.set(xlabel="epoch", ylabel="test accuracy (%)", ylim=(0, 100))
    set_epoch_axis(ax, arrays["epoch"])
    add_legend_above(ax, columns=4)


def set_epoch_axis(ax, epoch: np.ndarray) -> None:
    """Set an x axis of whole epochs with a margin before the first and after the last."""
    margin = max(0.03 * (epoch[-1] - epoch[0]), 0.5)
    ax.set_xlim(epoch[0] - margin, epoch[-1] + margin)
    ax.xaxis.get_major_locator().set_params(integer=True)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the first and the last loss, the last loss terms, and the last test accuracy."""
    epochs, loss = int(arrays["epoch"][-1]), arrays["loss"]
    text = f"Over {epochs} epochs the training loss went from {loss[0]:.3g} to {loss[-1]:.3g} nats"
    if len(list_terms(arrays)) > 1:
        last = {name: arrays[name][-1] for name in list_terms(arrays)}
        text += " (" + ", ".join(f"{name} {value:.3g}" for name, value in last.items() if not np.isnan(value)) + ")"
    tested = [
        f"{name} {format_percent(arrays[f'test_{key}'][-1])}"
        for key, (name, _) in TESTED.items()
        if f"test_{key}" in arrays
    ]
    return text + (f". Tested after the last epoch: {', '.join(tested)}." if tested else ".")

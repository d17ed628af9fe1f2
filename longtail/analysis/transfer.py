"""What teachers pass on: the mean distilled probability of each class, and how often it is predicted (ECL, Fig. 2)."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import GROUP, INK, Panels, add_legend_above, draw_columns, draw_group_bands, set_class_axis

LAYOUT = Panels(size=(8.4, 3.0), widths=(1, 1))


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Per class, the largest first: (a) mean of softmax(z / T) over test images and teachers, (b) predictions of a teacher.

    `fair` is the share of the class in the test images, which is 1 / C where the test is balanced. `probability` and `fair`
    are shares, `predictions` and `images` are numbers of images; T is the run's temperature of distillation, 1 without one.
    """
    order, z = outputs.order, outputs.logits
    classes, temperature = len(order), outputs.recipe.options.get("kd_temperature", 1.0)
    probability = sum((expert.double() / temperature).softmax(-1).mean(0) for expert in z) / len(z)
    predictions = np.bincount(z.argmax(-1).flatten().numpy(), minlength=classes) / len(z)
    images = np.bincount(outputs.labels.numpy(), minlength=classes)
    return {
        "name": np.array(outputs.names)[order],
        "group": np.array(outputs.groups)[order],
        "probability": probability.numpy()[order],
        "fair": (images / images.sum())[order],
        "predictions": predictions[order],
        "images": images[order],
    }


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """(a) and (b) beside each other, a step line for what would be fair."""
    rank = np.arange(len(arrays["name"]))
    pairs = (
        ("probability", "fair", "mean probability", "fair share"),
        ("predictions", "images", "predictions (images)", "fair share"),
    )
    for ax, (key, fair, label, reference), letter in zip(axes, pairs, "ab", strict=True):
        draw_group_bands(ax, arrays["group"], named=True)
        draw_columns(ax, arrays[key], arrays["group"])
        ax.step(rank, arrays[fair], where="mid", color=INK, linewidth=1, linestyle="--", label=reference)
        ax.set_ylabel(f"({letter}) {label}")
        ax.set_ylim(bottom=0)
        set_class_axis(ax, arrays["name"])
        add_legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """How much more probability and predictions each group gets than it should."""
    fair = arrays["fair"]
    parts = []
    for name in GROUP:
        where = arrays["group"] == name
        if fair[where].sum():
            given = arrays["probability"][where].sum() / fair[where].sum()
            taken = arrays["predictions"][where].sum() / arrays["images"][where].sum()
            parts.append(f"{name} {given:.2f} and {taken:.2f}")
    return (
        "Probability that teachers pass on, and predictions, as multiples of the group's share of the test images: "
        f"{', '.join(parts)} times (1.00 would be fair)."
    )

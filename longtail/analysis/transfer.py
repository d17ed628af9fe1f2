"""Knowledge transfer: the mean probability that teachers give each class, and their predictions (ECL, Fig. 2)."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import GROUP, INK, Panels, add_legend_above, draw_columns, draw_group_bands, set_class_axis

LAYOUT = Panels(size=(8.4, 3.0), widths=(1, 1))


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute for each class the mean of softmax(z / T) over test images and teachers, and a teacher's predictions.

    Returns name, group, probability, fair, predictions and images, (C,) each, the class with most training images first,
    and the number of networks; a single network is its own teacher. `fair` is the share of the test images, 1 / C in a
    balanced test subset. `predictions` and `images` count images. T is ECL's temperature of distillation, 1 for all other
    methods.
    """
    order, z = outputs.order, outputs.logits
    classes, recipe = len(order), outputs.recipe
    temperature = recipe.options["kd_temperature"] if recipe.method == "ecl" else 1.0
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
        "networks": np.array(len(z)),
    }


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw probabilities (a) and predictions (b), with a dashed step line for the share of the test images."""
    rank = np.arange(len(arrays["name"]))
    pairs = (
        ("probability", "fair", "mean probability", "share of test images"),
        ("predictions", "images", "predictions (images)", "test images"),
    )
    for ax, (key, reference, label, reference_label), letter in zip(axes, pairs, "ab", strict=True):
        draw_group_bands(ax, arrays["group"], named=True)
        draw_columns(ax, arrays[key], arrays["group"])
        ax.step(rank, arrays[reference], where="mid", color=INK, linewidth=1, linestyle="--", label=reference_label)
        ax.set_ylabel(f"({letter}) {label}")
        ax.set_ylim(bottom=0)
        set_class_axis(ax, arrays["name"])
        add_legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe the probability and the predictions of each group as multiples of its share of the test images."""
    fair = arrays["fair"]
    multiples = []
    for name in GROUP:
        members = arrays["group"] == name
        if fair[members].sum():
            probability = arrays["probability"][members].sum() / fair[members].sum()
            predictions = arrays["predictions"][members].sum() / arrays["images"][members].sum()
            multiples.append(f"{name} {probability:.2f} and {predictions:.2f}")
    subject = "Teachers'" if arrays["networks"] > 1 else "The network's"
    return (
        f"{subject} probability and predictions, as multiples of the group's share of the test images (1.00 is unbiased): "
        f"{', '.join(multiples)}."
    )

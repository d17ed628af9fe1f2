"""t-SNE of the test features of a few classes (van der Maaten and Hinton 2008; ECL, Fig. 6)."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import GROUP, Panels, add_legend_above, shorten
from longtail.errors import LongtailError

LAYOUT = Panels(size=(3.4, 3.6))  # three in a row, as in the paper
CLASSES, IMAGES = 4, 60  # most classes of a group and most images of a class that stay legible
MARKERS = "osD^vP*X<>ph"
FEW = len(MARKERS)  # data of so many classes are shown with all of them


def choose_classes(outputs: RunOutputs) -> np.ndarray:
    """Choose the classes with test images, the largest first; of more than twelve, up to four of each group, evenly spread."""
    tested = np.bincount(outputs.labels.numpy(), minlength=len(outputs.counts)) > 0
    most, chosen = CLASSES if len(tested) > FEW else FEW, []
    for name in GROUP:
        members = [c for c in outputs.order if outputs.groups[c] == name and tested[c]]
        evenly = np.unique(np.linspace(0, len(members) - 1, min(most, len(members))).round().astype(int))
        chosen += [members[i] for i in evenly]
    return np.array(chosen, dtype=np.int64)


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Compute the t-SNE of the first 60 test images of each chosen class, from the concatenated features of all experts.

    Returns place (n, 2), label (n,), neighbor_purity (), and class, name and group of the chosen classes. The seed is
    fixed. Raises LongtailError for fewer than three test images.
    """
    from sklearn.manifold import TSNE

    chosen, labels = choose_classes(outputs), outputs.labels.numpy()
    images = np.concatenate([np.flatnonzero(labels == c)[:IMAGES] for c in chosen] or [np.empty(0, int)])
    if len(images) < 3:
        raise LongtailError(f"{outputs.run.path} has {len(images)} test images; an embedding needs at least 3")
    features = outputs.features[:, images].transpose(0, 1).flatten(1).numpy()  # (n, K d)
    tsne = TSNE(perplexity=min(30.0, (len(images) - 1) / 3), init="pca", random_state=0)
    return {
        "place": tsne.fit_transform(features),
        "label": labels[images],
        "neighbor_purity": np.array(nearest_neighbor_purity(features, labels[images])),
        "class": chosen,
        "name": np.array(outputs.names)[chosen],
        "group": np.array(outputs.groups)[chosen],
    }


def nearest_neighbor_purity(features: np.ndarray, labels: np.ndarray) -> float:
    """Compute the percentage of images whose nearest neighbor in feature space has the same class; (n, d), (n,) -> ()."""
    # |a - b|^2 = |a|^2 + |b|^2 - 2 ab; an image is not its own neighbor
    square = (features**2).sum(1)
    distance = square[:, None] + square[None] - 2 * features @ features.T
    np.fill_diagonal(distance, np.inf)
    return 100 * float((labels[distance.argmin(1)] == labels).mean())


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """Draw a point for each image: the color shows the group, the shape and shade show the class."""
    from matplotlib.colors import to_rgb

    (ax,) = axes
    for name in GROUP:
        members = np.flatnonzero(arrays["group"] == name)
        for i, row in enumerate(members):
            shade = np.array(to_rgb(GROUP[name])) * (1.15 - 0.6 * i / max(len(members) - 1, CLASSES - 1))
            points = arrays["place"][arrays["label"] == arrays["class"][row]]
            ax.scatter(*points.T, 11, color=[np.clip(shade, 0, 1)], marker=MARKERS[i], linewidths=0, alpha=0.75)
            label = shorten(arrays["name"][row])
            box = {"boxstyle": "round,pad=0.12", "facecolor": "#FFFFFFB0", "linewidth": 0}
            ax.text(*np.median(points, 0), label, fontsize=7.5, ha="center", va="center", color="#1A1A1A", bbox=box)
    ax.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    for name in dict.fromkeys(arrays["group"].tolist()):
        ax.scatter([], [], 14, color=GROUP[name], label=name)
    add_legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Describe which classes are shown, and how often nearest neighbors share a class."""
    shown = "; ".join(
        f"{name} {', '.join(arrays['name'][arrays['group'] == name])}"
        for name in GROUP
        if (arrays["group"] == name).any()
    )
    return (
        f"t-SNE of the features of {len(arrays['label']):,} test images of {len(arrays['class'])} classes ({shown}). "
        f"For {arrays['neighbor_purity']:.1f} % of the images the nearest neighbor in feature space has the same class."
    )

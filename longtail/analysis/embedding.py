"""Where the features of a few classes lie: t-SNE (van der Maaten and Hinton 2008) of test features (ECL, Fig. 6)."""

import numpy as np

from longtail.analysis.outputs import RunOutputs
from longtail.analysis.style import GROUP, Panels, add_legend_above, shorten
from longtail.errors import LongtailError

LAYOUT = Panels(size=(3.9, 4.1))
CLASSES, IMAGES = 4, 60  # of a group, of a class; more could not be told apart
MARKERS = "osD^vP*X<>ph"


def choose_classes(outputs: RunOutputs) -> np.ndarray:
    """Up to four tested classes of each group, evenly spread over its training counts, the largest first."""
    tested = np.bincount(outputs.labels.numpy(), minlength=len(outputs.counts)) > 0
    chosen = []
    for name in GROUP:
        of_group = [c for c in outputs.order if outputs.groups[c] == name and tested[c]]
        places = np.unique(np.linspace(0, len(of_group) - 1, min(CLASSES, len(of_group))).round().astype(int))
        chosen += [of_group[i] for i in places]
    return np.array(chosen, dtype=np.int64)


def compute(outputs: RunOutputs) -> dict[str, np.ndarray]:
    """Places in the plane of up to 60 test images of each chosen class, from the features of all experts side by side.

    The first images of a class are taken, and the seed is fixed. Raises LongtailError for fewer than three test images.
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
    """Share of the images, in percent, whose nearest neighbour in the full space is of their own class; (n, d), (n,)."""
    square = (features**2).sum(1)
    distance = square[:, None] + square[None] - 2 * features @ features.T
    np.fill_diagonal(distance, np.inf)
    return 100 * float((labels[distance.argmin(1)] == labels).mean())


def draw(axes, arrays: dict[str, np.ndarray]) -> None:
    """A point for each image: color by group, shape and shade by class."""
    from matplotlib.colors import to_rgb

    (ax,) = axes
    for name in GROUP:
        own = np.flatnonzero(arrays["group"] == name)
        for i, row in enumerate(own):
            shade = np.array(to_rgb(GROUP[name])) * (1.15 - 0.2 * i)
            place = arrays["place"][arrays["label"] == arrays["class"][row]]
            ax.scatter(*place.T, 11, color=[np.clip(shade, 0, 1)], marker=MARKERS[i], linewidths=0, alpha=0.75)
            label = shorten(arrays["name"][row])
            back = {"boxstyle": "round,pad=0.12", "facecolor": "#FFFFFFB0", "linewidth": 0}
            ax.text(*np.median(place, 0), label, fontsize=7.5, ha="center", va="center", color="#1A1A1A", bbox=back)
    ax.set(xticks=[], yticks=[], xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)")
    for name in dict.fromkeys(arrays["group"].tolist()):
        ax.scatter([], [], 14, color=GROUP[name], label=name)
    add_legend_above(ax)


def describe(arrays: dict[str, np.ndarray]) -> str:
    """Which classes are shown, and how clean their neighbourhoods are."""
    shown = "; ".join(
        f"{name} {', '.join(arrays['name'][arrays['group'] == name])}"
        for name in GROUP
        if (arrays["group"] == name).any()
    )
    return (
        f"t-SNE of the features of {len(arrays['label']):,} test images of {len(arrays['class'])} classes ({shown}). "
        f"In the full space the nearest neighbour of {arrays['neighbor_purity']:.1f} % of them is of the same class."
    )

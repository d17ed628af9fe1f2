"""Which images of an unlabeled pool to label next: uncertain, probably of a rare class, and unlike each other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from longtail.augment import TransformSet
from longtail.data.decode import BadImage
from longtail.evaluate import compute_outputs
from longtail.inference.images import decode_batches
from longtail.losses import adjust_logits
from longtail.methods import Method


@dataclass(frozen=True)
class Pool:
    """Readable images of a pool: paths, probabilities under a uniform class prior (N, C), features (N, K d) of K experts."""

    paths: list[str]
    probabilities: Tensor
    features: Tensor

    def __len__(self) -> int:
        return len(self.paths)


def read_pool(paths: Iterable[str], method: Method, transform_set: TransformSet, bad: list[BadImage]) -> Pool:
    """Compute probabilities and features of all readable images, a batch in memory; append the other images to `bad`."""
    names, classes = list[str](), method.classes
    probabilities, features = [torch.empty(0, classes)], list[Tensor]()
    assumed = method.assumed_log_prior()

    def compute(x: Tensor) -> Tensor:
        return torch.cat([method.logits(x), method.features(x)], dim=-1)

    for good, images, errors in decode_batches(paths, transform_set):
        bad += errors
        if not good:
            continue
        outputs = compute_outputs(method, compute, images, transform_set)  # (K, n, C + d)
        z = outputs[..., :classes].mean(0)
        z = z if assumed is None else adjust_logits(z, assumed.cpu(), 1.0)
        names += good
        probabilities.append(z.softmax(-1))
        features.append(normalize(outputs[..., classes:], dim=-1).transpose(0, 1).flatten(1).half())
    return Pool(names, torch.cat(probabilities), torch.cat(features) if features else torch.empty(0, 1))


def compute_margins(probabilities: Tensor) -> Tensor:
    """Compute the lead of the most probable class over the next: (N, C) -> (N,) in [0, 1]."""
    best = probabilities.topk(2, dim=-1).values
    return best[:, 0] - best[:, 1]


def compute_rarity(probabilities: Tensor, train_counts: Sequence[int]) -> Tensor:
    """Compute how rare in training the class of an image probably is, 0 for the largest class: (N, C) -> (N,) in [0, 1].

    The rarity of a class is 1 - log(1 + n) / log(1 + largest n), and that of an image the mean over its probabilities.
    """
    n = torch.tensor(train_counts, dtype=torch.float64).log1p()
    return probabilities.double() @ (1 - n / n.max())


def compute_scores(probabilities: Tensor, train_counts: Sequence[int]) -> Tensor:
    """Compute how much a label of each image is worth: uncertainty (1 - margin) times rarity, (N, C) -> (N,) in [0, 1]."""
    return (1 - compute_margins(probabilities)).double() * compute_rarity(probabilities, train_counts)


def choose_images(features: Tensor, scores: Tensor, n: int, seed: int = 0) -> np.ndarray:
    """Choose n images of high score that lie apart from each other: (N, d), (N,) -> positions (n,).

    The images are the first centers of k-means++ with the scores as weights (Arthur and Vassilvitskii 2007): each is drawn by
    its score times the squared distance to the nearest image that is chosen already. Where no other image is unlike these, those
    of the highest score follow.
    """
    from sklearn.cluster import kmeans_plusplus

    # scikit-learn needs a positive sum of weights
    weights = scores.double().clamp_min(1e-12).numpy()
    centers = kmeans_plusplus(features.float().numpy(), n, sample_weight=weights, random_state=seed)[1]
    order = dict.fromkeys([*centers.tolist(), *np.argsort(-weights, kind="stable").tolist()])
    return np.array(list(order)[:n])

"""Features of a frozen encoder as a data set, beside the two sets of images."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from longtail.augment.transform import Draw
from longtail.data.lazy import ImageIndex, take_index


@dataclass(frozen=True)
class FeatureSet:
    """Features (N, L, d) float16 of N images under L looks, the labels (N,) int64, and the index of the images.

    Look 0 is the image as it is evaluated, look 1 its mirror image, and every further look a random crop. `images_sha256`
    is the digest of the images, by which a run recognizes its data.
    """

    features: Tensor
    labels: Tensor
    images_sha256: str
    index: ImageIndex | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def looks(self) -> int:
        """Return the number of looks L."""
        return self.features.shape[1]

    def take(self, rows: Sequence[int] | np.ndarray) -> "FeatureSet":
        """Return some of the images, in the order of `rows`."""
        index = torch.from_numpy(np.asarray(rows, dtype=np.int64))
        taken = take_index(self.index, rows)
        return replace(self, features=self.features[index], labels=self.labels[index], index=taken)

    def digest(self) -> str:
        """Return the sha256 of the images, as their own data set computes it."""
        return self.images_sha256


@dataclass(frozen=True)
class RandomLook:
    """The transform that makes every view of a `FeatureSet`: one of L looks, drawn for each image, view and epoch."""

    looks: int

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator) -> list[Draw]:
        """Draw the look of each of n images; `size` has no meaning for features."""
        return [{"look": torch.randint(self.looks, (n,), generator=generator)}]

    def apply(self, features: Tensor, draws: list[Draw]) -> Tensor:
        """Take the drawn looks: (N, L, d) -> (N, d)."""
        if self.looks == 1:  # a view, without a copy
            return features[:, 0]
        look = draws[0]["look"].to(features.device)
        return features[torch.arange(len(features), device=features.device), look]

    def __call__(self, features: Tensor, generator: torch.Generator) -> Tensor:
        """Draw and take a look of each image: (N, L, d) -> (N, d)."""
        return self.apply(features, self.draw(len(features), (1, 1), generator))

"""Bag of tricks with CAM-based sampling (Zhang et al., AAAI 2021)."""

from collections.abc import Sequence
from typing import Annotated, Any, cast

import torch
from torch import Tensor

from longtail.augment import find_foreground, mixup, move_foreground
from longtail.data import Batch, Split
from longtail.errors import LongtailError
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier, Stage
from longtail.nets import Encoder, Net, Teacher, get_input_config
from longtail.validation import Range


class CAM(Classifier):
    """Mixup, then class-balanced batches with mixup in which objects are moved, then balanced batches alone.

    A copy of the network of the first stage finds the object by its class activation map. The object is turned, shifted or
    mirrored, and pasted over the image. An image drawn of class c is a made one with probability (n_max + n_min - n_c) /
    (n_max + n_min), as if every class had that many more images. ECL's tables print the whole bag, which this is, and not
    the sampling alone. The stages are those of the authors' ImageNet-LT configuration, 160, 40 and 20 epochs.
    Departures: images are made after the views, on normalized pixels, afresh at each draw; the authors store them as JPEG.
    The box of the foreground is exact; in their code it begins at its second row, so that shifts can lose the object. An
    epoch is as long as the training set. Their numbers are of the best epoch on test images; here of the last.
    """

    trains_on_features = False  # it moves pixels
    assumes = "uniform"

    share_made: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        alpha: Annotated[float, "parameter of mixup's Beta(alpha, alpha), 0: no mixup (authors' code)", Range(0)] = 1.0,
        keep: Annotated[
            float, "threshold of the foreground over the mean activation (authors' code)", Range(0, 1)
        ] = 0.75,
        mirror: Annotated[bool, "mirror objects too; off where that shows another thing, such as a digit"] = True,
        late_lr: Annotated[
            float, "learning rate of the later stages over that of the first (authors' code)", Range(0, open_low=True)
        ] = 0.01,
    ):
        super().__init__(counts, net)
        self.alpha, self.keep, self.mirror, self.late_lr = alpha, keep, mirror, late_lr
        check_maps(self.get_encoder(self.encoders), net)
        self.eye = Teacher(self.encoders, self.cls)
        n = torch.tensor(counts).clamp_min(1)
        most = n.max() + n.min()
        self.register_buffer("share_made", (most - n) / most, persistent=False)

    def stages(self) -> list[Stage]:
        trains = ("encoders", "cls")
        return [
            Stage("mixup", 8 / 11, trains=trains),
            Stage("cam", 2 / 11, ("balanced",), trains, lr_scale=self.late_lr),
            Stage("finetune", 1 / 11, ("balanced",), trains, lr_scale=self.late_lr),
        ]

    def begin_stage(self, stage: Stage, split: Split) -> None:
        super().begin_stage(stage, split)
        if stage.name == "cam":
            self.eye.take(self.encoders, self.cls)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.views[0], batch.y
        if self.stage == "cam":
            is_made = torch.rand(len(y), device=y.device) < self.share_made[y]
            x = torch.where(is_made.view(-1, 1, 1, 1), self.make_images(x, y), x)
        if self.stage == "finetune" or not self.alpha:
            return {"ce": cross_entropy(self.logits(x), y).mean()}
        x, other, share = mixup(x, y, self.alpha)
        z = self.logits(x)
        return {"ce": (share * cross_entropy(z, y) + (1 - share) * cross_entropy(z, other)).mean()}

    @torch.no_grad()
    def make_images(self, x: Tensor, y: Tensor) -> Tensor:
        """Move the object of each image: (N, 3, H, W), (N,) -> (N, 3, H, W)."""
        encoders, head = cast(Any, self.eye.copy)
        seen = find_foreground(self.get_encoder(encoders).maps(x), head.weight[0, y], x.shape[-2:], self.keep)
        return move_foreground(x, seen, self.mirror)

    @staticmethod
    def get_encoder(encoders: Any) -> Encoder:
        """Return the only network of `encoders`."""
        return encoders.experts[0]


@torch.no_grad()
def check_maps(encoder: Encoder, net: Net) -> None:
    """Raise LongtailError if the features of a network are not the mean over pixels of its maps."""
    side = net.size or get_input_config(net.name).get("size", 32)
    x = torch.linspace(-1, 1, 3 * side**2).view(1, 3, side, side)
    was = encoder.training
    v, maps = encoder.eval()(x), encoder.maps(x)
    encoder.train(was)
    if maps.shape[:2] != v.shape or (maps.mean((2, 3)) - v).norm() > 0.05 * v.norm():  # 0.05: half precision
        raise LongtailError(
            f"cam needs a network whose features are the mean over pixels of its maps, and those of {net.name} are not; "
            "take --net resnet50, or another method"
        )

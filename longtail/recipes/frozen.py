"""Custom data, our recipe: features of a frozen pretrained encoder, computed once, and heads that train on them in seconds.

EfficientNet-lite0 comes with the package; --net and --weights take any network of timm. Rates, epochs, necks and the number
of looks were chosen on held-out *training* images (--val-share .2) of CIFAR-100-LT at 96 pixels, of Caltech-101 with a tail of
100, and of a few images of each of its classes (2026-11-26). A second look did not help `bc` there.
"""

from typing import Any

RECIPE: dict[str, Any] = {
    "imbalance": None,  # as it is
    "net": "tf_efficientnet_lite0",
    "weights": "auto",
    "frozen": True,
    "frozen_views": 1,  # the image as it is evaluated
    "views": "custom-224",  # --size changes it; by default the size of --net
    "epochs": 30,
    "batch_size": 64,  # at most a quarter of the training images
    "lr": 0.05,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-3,
    "eval_every": 6,
}
# experts that learn from each other, and contrasts, need layers of their own, and two looks at an image
NECK: dict[str, Any] = {"neck": 512, "frozen_views": 2, "lr": 0.02, "weight_decay": 5e-4}
OPTIONS = {
    **dict.fromkeys(("ncl", "paco", "bcl", "ride", "sade", "bbn"), NECK),
    **dict.fromkeys(("ace", "cbd", "ssd"), NECK),
    **dict.fromkeys(("proco", "balpoe", "tsc", "hybrid_sc", "dro_lt"), NECK),
    # Eq. 10 averages over three experts, which gives each a third of the gradient
    "ecl": NECK | {"lr": 0.06, "weight_decay": 5e-4 / 3},
}

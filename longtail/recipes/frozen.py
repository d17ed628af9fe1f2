"""Custom data, our recipe: features of a frozen pretrained encoder, computed once, and heads that train on them in seconds.

EfficientNet-lite0 comes with the package; --net and --weights take any network of timm.
"""

RECIPE = {
    "imbalance": None,  # as it is
    "net": "tf_efficientnet_lite0",
    "weights": "auto",
    "frozen": True,
    "views": "custom-224",  # --size changes it; by default the size of --net
    "epochs": 30,
    "batch_size": 64,  # at most a quarter of the training images
    "lr": 0.05,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "eval_every": 6,
}
NECK = {"neck": 512}  # experts that learn from each other, and contrasts, need layers of their own
OPTIONS = {
    **dict.fromkeys(("paco", "bcl", "ride", "sade", "bbn"), NECK),
    # their losses are means over three experts, which gives each a third of the gradient
    **{name: NECK | {"lr": 0.15, "weight_decay": 5e-4 / 3} for name in ("ecl",)},
    "ncl": NECK,
}

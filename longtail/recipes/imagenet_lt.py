"""ImageNet-LT as in ECL (Xu et al., IEEE TMM 2023, Sec. VI-C) with ResNet-50; --net resnext50_32x4d is its other network."""

RECIPE = {
    "imbalance": None,  # as published (Liu et al. 2019): 5 to 1280 images a class
    "net": "resnet50",
    "views": "imagenet-224",
    "epochs": 180,
    "batch_size": 256,  # not printed
    "lr": 0.01,  # not restated for this set
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "eval_every": 10,  # ours
}
LARGE = {"head": "cosine", "scale": 16.0, "projection": 128, "queue": 8192}
OPTIONS = {"ecl": LARGE, "ncl": LARGE}  # NCL's public code has the same heads

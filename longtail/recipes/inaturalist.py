"""iNaturalist 2018 as in ECL (Xu et al., IEEE TMM 2023, Sec. VI-C) with ResNet-50."""

RECIPE = {
    "imbalance": None,  # as it is: 2 to 1000 images a class
    "net": "resnet50",
    "views": "inaturalist-224",
    "epochs": 90,
    "batch_size": 512,  # not printed
    "lr": 0.01,  # not restated for this set
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 1e-4,
    "eval_every": 10,  # ours
}
LARGE = {"head": "cosine", "scale": 32.0, "projection": 128, "queue": 8192}
OPTIONS = {"ecl": LARGE, "ncl": LARGE}  # NCL's public code has the same heads

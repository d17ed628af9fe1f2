"""CIFAR-10-LT and CIFAR-100-LT as in ECL (Xu et al., IEEE TMM 2023, Sec. VI-C); the paper reports imbalance 10, 50, 100, 200.

ECL on CIFAR-100-LT at imbalance 100: printed 56.3; measured 37.6 in bf16, one seed, 147 s on one H100. The recipe
`ncl-cifar` reaches 55.1 (docs/gpu.md).
On one thread of an AMD EPYC Zen 4, ECL takes about 13.5 hours and `bc` 2.9, by the time of a few steps (2026-11-26).
"""

RECIPE = {
    "imbalance": 100.0,
    "net": "resnet32",
    "views": "cifar",  # AutoAugment and Cutout for the classifiers, MoCo v2's view for the keys
    "epochs": 200,
    "batch_size": 64,
    "lr": 0.01,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-3,
    "eval_every": 10,  # ours; the paper does not say
}

"""CIFAR-LT as in NCL (Li et al., CVPR 2022, Sec. 4): longer and in steps; for `ncl` and what is compared on its terms.

Printed in ECL's Table IV for the ensemble of NCL at imbalance 100: 54.2; measured 55.4, and 55.1 for ECL, in bf16, one seed
(docs/gpu.md). Cost: 400 epochs, three networks and three key networks, two views; 10 minutes on an H100 beside other
runs, about 27 hours on one thread of an AMD EPYC Zen 4, by the time of a few steps (2026-11-26).
"""

RECIPE = {
    "imbalance": 100.0,
    "net": "resnet32",
    "views": "cifar",
    "epochs": 400,
    "batch_size": 64,
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": True,  # not in the paper; the public code
    "weight_decay": 2e-4,
    "eval_every": 10,  # ours
    "schedule": "steps",
    "milestones": (0.8, 0.9),  # epochs 320 and 360
    "warmup": 5 / 400,  # 5 epochs
}

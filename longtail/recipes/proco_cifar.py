"""CIFAR-LT as in ProCo (Du et al., TPAMI 2024): 200 epochs in steps, batches of 256.

Source: `sh/ProCo_CIFAR.sh` and the defaults of `ProCo_cifar/main.py` in the authors' repository, LeapLabTHU/ProCo. Their 400
epochs have the steps at 360 and 380 (`--epochs 400 --milestones .9 .95`). Cost: 200 epochs, one network on three views;
about 8.8 hours on one thread of an AMD EPYC Zen 4, by the time of a few steps (2026-11-26). Published
at imbalance 100: 52.8, and 54.2 after 400 epochs, at the best epoch on the test images. Users of the code report 51.5 to 51.6
(its issues 1 and 5). We have not run it.
"""

RECIPE = {
    "imbalance": 100.0,
    "net": "resnet32",
    "views": "cifar",
    "epochs": 200,
    "batch_size": 256,
    "lr": 0.3,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 2e-4,
    "eval_every": 10,  # ours
    "schedule": "steps",
    "milestones": (0.8, 0.9),  # epochs 160 and 180
    "warmup": 5 / 200,  # 5 epochs
}

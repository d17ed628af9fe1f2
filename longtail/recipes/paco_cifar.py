"""CIFAR-100-LT as in PaCo (Cui et al., ICCV 2021): 400 epochs in steps, batches of 128.

Source: `PaCo/LT/sh/CIFAR100_train_imb0.01.sh` and the defaults of `PaCo/LT/paco_cifar.py` in the authors' repository,
dvlab-research/Parametric-Contrastive-Learning. An older script there has lr .02, alpha .02 and projection 64. Their
"ResNet-32" is twice as wide as this one. Cost: 400 epochs, one network and one key network, two views; about 8.6 hours on one
thread of an AMD EPYC Zen 4, by the time of a few steps (2026-11-26). Published at imbalance 100, with the wider network: 52.0. We
have not run it.
"""

from typing import Any

RECIPE: dict[str, Any] = {
    "imbalance": 100.0,
    "net": "resnet32",
    "views": "cifar",
    "epochs": 400,
    "batch_size": 128,
    "lr": 0.05,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "eval_every": 10,  # ours
    "schedule": "steps",
    "milestones": (0.8, 0.9),  # epochs 320 and 360
    "warmup": 10 / 400,  # 10 epochs
}
OPTIONS = {"paco": {"alpha": 0.01, "temperature": 0.05, "queue": 1024, "projection": 32}}

"""CIFAR-LT as in BalPoE (Aimar et al., CVPR 2023), standard training: 200 epochs in steps, batches of 128.

Source: `configs/mixup/standard_training/config_cifar100_ir100_bs-experts.json` in the authors' repository,
emasa/BalPoE-CalibratedLT. Their long training takes `--epochs 400`: warm-up and steps are shares. Cost: 200 epochs, one view,
one trunk with three branches; about 7.5 hours on one thread of an AMD EPYC Zen 4, by the time of a few steps (2026-11-26).
Published at imbalance 100: 55.9; we do not know after how many epochs. We have not run it.
"""

RECIPE = {
    "imbalance": 100.0,
    "net": "resnet32",
    "views": "cifar",  # the authors' standard training has no AutoAugment; their long training has
    "epochs": 200,
    "batch_size": 128,
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": True,
    "weight_decay": 5e-4,
    "eval_every": 10,  # ours
    "schedule": "steps",
    "milestones": (0.8, 0.9),  # epochs 160 and 180
    "warmup": 5 / 200,  # 5 epochs
}

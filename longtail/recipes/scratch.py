"""Custom data from random weights, our recipe: a ResNet-32 at 64 x 64, which a laptop trains; no paper uses it.

A schedule this short needs lr .1 with weight decay 5e-4: measured on CIFAR-100-LT, where .01 with 5e-3 was 13 points behind.
ECL's loss is an average over its experts (Eq. 10): three times the rate and a third of the decay move each of three as one
alone. `longtail train CALTECH101 ecl --net resnet8 --size 48 --epochs 20 --eval-every 0 --threads 1 --lr .3 --weight-decay
.000166667` took balanced accuracy from 24.7 (.1, .0005) to 32.4, top-1 from 43.5 to 49.0 (seed 0, 2026-11-23).
"""

RECIPE = {
    "imbalance": None,  # as it is
    "net": "resnet32",
    "views": "custom-64",  # --size changes it; custom-unmirrored-64 where a mirrored image shows another thing, such as a digit
    "epochs": 60,
    "batch_size": 64,  # at most a quarter of the training images
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "eval_every": 10,
}
OPTIONS = {"ecl": {"lr": 0.3, "weight_decay": 5e-4 / 3}}  # for three experts

"""Your own images, ours: a ResNet-32 at 64 x 64, which a laptop trains; no paper uses it, and it was not tuned on a test set.

A schedule this short needs lr .1 with weight decay 5e-4: measured on CIFAR-100-LT, where .01 with 5e-3 was 13 points behind.
"""

RECIPE = {
    "imbalance": None,  # as it is
    "net": "resnet32",
    "views": "own-64",  # --size changes it; own-unmirrored-64 where a mirrored image is another thing, such as a digit
    "epochs": 60,
    "batch_size": 64,  # at most a quarter of the training images
    "lr": 0.1,
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "eval_every": 10,
}

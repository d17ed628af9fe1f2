"""digits-lt, ours: 8 x 8 handwritten digits for a first look on a laptop; no paper uses it.

Chosen by `python -m benchmarks digits_recipe ecl lr=0.2 epochs=200 beta=0.0,0.3,1.0 --seeds 3` on held-out
*training* images, where the weight of the contrast made no difference beyond noise: ECL keeps its paper's options.

Methods whose cosines are scaled by 30 want less: at 60 epochs, seed 0, `--lr 0.05` took top-1 of `ride` from 84.0 to 93.4,
of `sade` from 83.6 to 92.7, of `bcl` from 80.3 to 92.6 (`longtail train digits-lt ride --epochs 60 --threads 1 --lr 0.05`;
two shared cores, 2026-11-23), of `balpoe` from 90.1 to 92.3 (2026-11-26).

Stages of a few epochs have few steps here, nine an epoch. `longtail train digits-lt METHOD --epochs E --threads 1 --seed 0`
gave these top-1 (2026-11-26): `ce` 70.9 at 30 epochs, 85.4 at 60, 88.7 at 120; `dive`, half teacher, half student, 84.4 at 60,
92.4 at 120; `ssd` 66.3 and 81.0; `cam --no-mirror` 70.7 at 60, and 89.6 with `--late-lr 1` in place of the authors' 0.01.
`cmo_ride --lr 0.05` gave 92.3 at 60.
"""

RECIPE = {
    "imbalance": 50.0,
    "net": "conv4",
    "views": "digits",
    "epochs": 200,
    "batch_size": 32,
    "lr": 0.2,  # Eq. 10 averages over K experts, which gives each 1 / K of the gradient
    "momentum": 0.9,
    "nesterov": False,
    "weight_decay": 5e-4,
    "eval_every": 20,
}

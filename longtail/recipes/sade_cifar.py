"""CIFAR-LT as in SADE (Zhang et al., NeurIPS 2022): 200 epochs in steps, batches of 128, as BalPoE's.

Source: `configs/config_cifar100_ir100_sade.json` in the authors' repository, Vanint/SADE-AgnosticLT. Cost: 200 epochs, one view,
one trunk with three slim branches; about 6.5 hours on one thread of an AMD EPYC Zen 4, by the time of a few steps (2026-11-26).
Published at imbalance 100: 49.8 (its README). We have not run it.
"""

from longtail.recipes import balpoe_cifar

RECIPE = balpoe_cifar.RECIPE

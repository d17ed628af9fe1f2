"""Random seeds: one derived from several numbers, and the three global generators that image transforms draw from."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive_seed(*numbers: int) -> int:
    """Derive one 63-bit seed from several numbers by splitmix64.

    Neighboring seeds and epochs must share no stream, which their sum or a product would not ensure.
    """
    state = 0
    for number in numbers:
        state = (state + number + 0x9E3779B97F4A7C15) % 2**64
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) % 2**64
        state ^= state >> 31
    return state >> 1


@contextmanager
def preserve_random_state() -> Iterator[None]:
    """Restore the random state of torch, numpy and Python when the context ends."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


def seed_everything(seed: int) -> None:
    """Seed torch, numpy and Python: torchvision draws from the first, timm's RandAugment from the others."""
    torch.default_generator.manual_seed(seed)  # the CPU's only: a GPU's generator belongs to the method
    np.random.seed(seed % 2**32)
    random.seed(seed)

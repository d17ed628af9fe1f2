"""Rank and world size of a process under torchrun, read from its environment; loads no torch."""

import os


def get_rank() -> int:
    """Return the rank of this process under torchrun, else 0; rank 0 prints and writes for all."""
    return int(os.environ.get("RANK", "0"))


def get_world_size() -> int:
    """Return the number of processes that torchrun started, else 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))

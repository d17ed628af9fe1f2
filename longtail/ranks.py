"""Rank and world size of a process under torchrun, read from its environment; loads no torch."""

import os


def get_rank() -> int:
    """Return the rank of this process under torchrun, else 0; rank 0 prints and writes for all."""
    return int(os.environ.get("RANK") or 0) if get_world_size() > 1 else 0


def get_world_size() -> int:
    """Return the number of processes that torchrun started, else 1."""
    return int(os.environ.get("WORLD_SIZE") or 1)


def get_restart_id() -> str:
    """Return the restart count of torchrun: after a restart its store still holds the addresses of dead processes.

    Machines count their own restarts only, so for several machines the id stays the same; docs/many-machines.md says
    what to do then.
    """
    is_one_machine = os.environ.get("GROUP_WORLD_SIZE") == "1"
    return os.environ["TORCHELASTIC_RESTART_COUNT"] if is_one_machine else "0"

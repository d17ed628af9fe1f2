"""A progress report that raises during training, for tests of the files that a killed run leaves."""

from longtail.tracking import SilentReport


class Killed(Exception):
    """The error that stands for a kill."""


class KillAt(SilentReport):
    """A report that raises `Killed` in the middle of an epoch, as if the process were killed."""

    def __init__(self, epoch: int):
        self.epoch_to_die = epoch

    def advance(self, seed, epoch, steps, terms):
        if terms and epoch == self.epoch_to_die:
            raise Killed

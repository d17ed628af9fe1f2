"""A trainer that dies on the way, for tests of what a killed run leaves behind."""

from longtail.tracking import SilentReport


class Killed(Exception):
    """What it dies of."""


class KillAt(SilentReport):
    """Dies in the middle of an epoch, as a killed process would."""

    def __init__(self, epoch: int):
        self.at = epoch

    def advance(self, seed, epoch, steps, terms):
        if terms and epoch == self.at:
            raise Killed

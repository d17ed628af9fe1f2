"""How the epochs of a run are divided among the stages of its method."""

from collections.abc import Iterator
from dataclasses import dataclass

from longtail.methods import Stage


@dataclass(frozen=True)
class Part:
    """A stage with its place among the stages, its number of epochs, and how many come before it."""

    number: int
    stage: Stage
    epochs: int
    before: int


def plan(stages: list[Stage], epochs: int) -> Iterator[Part]:
    """Divide the epochs among the stages by their shares, at least one for each that trains."""
    total, before, share = sum(stage.share for stage in stages), 0, 0.0
    for number, stage in enumerate(stages):
        share += stage.share
        own = max(round(epochs * share / total) - before, 1) if stage.share else 0
        yield Part(number, stage, own, before)
        before += own

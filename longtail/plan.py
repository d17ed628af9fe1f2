"""What is settled before the first step: the epochs of each stage, and the batches."""

from collections.abc import Iterator
from dataclasses import dataclass

from longtail.augment import family
from longtail.data import SOURCES, Images, Loader, Split
from longtail.errors import LongtailError
from longtail.methods import Method, Stage
from longtail.recipe import Recipe
from longtail.world import World


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


def make_loader(recipe: Recipe, method: Method, split: Split, world: World) -> Loader:
    """The loader of the views that a method asks for; raises LongtailError if they are for images of another size."""
    if not isinstance(split.train, Images):
        raise LongtailError(f"{split.name} is too large for memory at this size; ask for a smaller --size")
    views, size = family(recipe.views), tuple(split.train.images.shape[-2:])
    if size != (views.size, views.size):
        raise LongtailError(
            f"views '{recipe.views}' are for {views.size} x {views.size} images, those of {split.name} are "
            f"{size[0]} x {size[1]}; leave --views and --recipe out to take those of the data set"
        )
    parts = world.size * recipe.accumulate
    if recipe.batch_size % parts:
        raise LongtailError(
            f"batch_size is {recipe.batch_size}, which {world.size} processes x {recipe.accumulate} parts of a step cannot "
            f"share equally; ask for a multiple of {parts}, such as {max(recipe.batch_size // parts, 1) * parts}"
        )
    chosen = [views.views[name] for name in method.views]
    return Loader(
        split, chosen, recipe.batch_size, recipe.seed, world.device, world.chunk, rank=world.rank, ranks=world.size
    )


def with_steps(recipe: Recipe, split: Split) -> Recipe:
    """Where one's own set is tiny, the recipe with a batch of at most a quarter of it, so that an epoch has steps."""
    most = max(len(split.train) // 4, 2)
    if recipe.data in SOURCES or recipe.batch_size <= most:
        return recipe
    split.notes.append(f"the batch of {recipe.batch_size} is cut to {most}, a quarter of the training images")
    return recipe.change(batch_size=most)

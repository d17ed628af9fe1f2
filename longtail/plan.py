"""What a run is made of: its epochs divided among the stages of its method, and the loader that feeds them."""

from dataclasses import dataclass

from longtail.data import Files, Loader, Split, StreamLoader, worker_count
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


def plan(stages: list[Stage], epochs: int) -> list[Part]:
    """Divide the epochs among the stages by their shares; raises LongtailError unless there is one for each that trains."""
    train = sum(stage.share > 0 for stage in stages)
    if epochs < train:
        raise LongtailError(f"the method trains in {train} stages, which take an epoch each; --epochs is {epochs}")
    total, before, share, parts = sum(stage.share for stage in stages), 0, 0.0, []
    for number, stage in enumerate(stages):
        share, train = share + stage.share, train - (stage.share > 0)
        own = min(max(round(epochs * share / total) - before, 1), epochs - before - train) if stage.share else 0
        parts.append(Part(number, stage, own, before))
        before += own
    return parts


def make_loader(recipe: Recipe, method: Method, split: Split, world: World) -> Loader:
    """The loader of the views that a method asks for; raises LongtailError if the images or the recipe cannot give them."""
    parts, views = world.size * recipe.accumulate, recipe.family
    if recipe.batch_size % parts:
        wish = f"ask for a multiple of {parts}, such as {recipe.batch_size // parts * parts}"
        if recipe.batch_size < parts:
            wish = "ask for fewer processes or a smaller --accumulate"
        raise LongtailError(
            f"a batch of {recipe.batch_size} images cannot be shared equally by {parts} (processes x parts of a step); {wish}"
        )
    check_sees(recipe, method)
    share = {"rank": world.rank, "ranks": world.size}
    if isinstance(split.train, Files):
        return StreamLoader(split, views, method.views, recipe.batch_size, recipe.seed, world.device, **share)
    if views.test:
        raise LongtailError(
            f"views '{recipe.views}' are cut from files, and {split.name} is in memory; leave --views out"
        )
    size = tuple(split.train.images.shape[-2:])
    if size != (views.size, views.size):
        raise LongtailError(
            f"views '{recipe.views}' are for {views.size} x {views.size} images, those of {split.name} are "
            f"{size[0]} x {size[1]}; leave --views and --recipe out to take those of the data set"
        )
    chosen = [views.views[name] for name in method.views]
    return Loader(split, chosen, recipe.batch_size, recipe.seed, world.device, world.chunk(views.size), **share)


def check_sees(recipe: Recipe, method: Method) -> None:
    """Raise LongtailError for random views of test images that workers make from files: `adapt` has them cut already."""
    if recipe.family.test and set(method.sees) - {"plain"}:
        raise LongtailError(
            f"{recipe.method} would learn from the test images under random views, which views '{recipe.views}' have for "
            f"training only; leave --aggregate out, or take --views own-{recipe.family.size}"
        )


def path_of(split: Split) -> str:
    """What a title says of images that are not in memory."""
    if not isinstance(split.train, Files):
        return ""
    workers = worker_count(split.train.workers)
    return f"; streamed from files by {workers} worker{'' if workers == 1 else 's'}"

"""The epochs of each stage of a run, and the loader that feeds them."""

from dataclasses import dataclass
from typing import cast

from torch.nn import Parameter

from longtail.augment import Compose
from longtail.data import FeatureSet, LazyImages, Loader, Split, StreamLoader, count_workers
from longtail.data.features import RandomLook
from longtail.distributed import World
from longtail.errors import LongtailError, unknown_name
from longtail.methods import Method, ParameterGroup, Stage
from longtail.nets import Encoder, MomentumCopy, Teacher
from longtail.recipe import Recipe
from longtail.wording import format_count


@dataclass(frozen=True)
class StagePlan:
    """A stage with its number among the stages, its epochs, and the number of epochs before it."""

    number: int
    stage: Stage
    epochs: int
    first_epoch: int


def plan_stages(stages: list[Stage], epochs: int) -> list[StagePlan]:
    """Divide the epochs among the stages by their shares.

    Raises LongtailError if there are fewer epochs than stages that train.
    """
    unplanned = sum(stage.share > 0 for stage in stages)
    if epochs < unplanned:
        raise LongtailError(f"the method trains in {unplanned} stages, which take an epoch each; --epochs is {epochs}")
    total, done, share, plans = sum(stage.share for stage in stages), 0, 0.0, []
    for number, stage in enumerate(stages):
        share, unplanned = share + stage.share, unplanned - (stage.share > 0)
        # at least one epoch here, and one left for each later stage
        own = min(max(round(epochs * share / total) - done, 1), epochs - done - unplanned) if stage.share else 0
        plans.append(StagePlan(number, stage, own, done))
        done += own
    return plans


def build_parameter_groups(method: Method, stage: Stage, encoder_lr: float) -> list[ParameterGroup]:
    """Enter a stage, and return the parameters that it trains in groups; the rate of encoders is multiplied by `encoder_lr`."""
    parameters = method.enter(stage)
    groups: list[ParameterGroup] = method.parameter_groups(stage) or [{"params": parameters}]
    if encoder_lr == 1:
        return groups
    inside, divided = list_encoder_parameters(method), []
    for group in groups:
        params, scale = list(group["params"]), group.get("lr_scale", 1.0)
        encoders: ParameterGroup = {**group, "params": [p for p in params if p in inside]}
        encoders["lr_scale"] = scale * encoder_lr
        rest: ParameterGroup = {**group, "params": [p for p in params if p not in inside]}
        divided += [own for own in (encoders, rest) if own["params"]]
    return divided


def list_encoder_parameters(method: Method) -> set[Parameter]:
    """Return the parameters of a method's encoders, without those of momentum copies and teachers."""
    copies = {p for m in method.modules() if isinstance(m, MomentumCopy | Teacher) for p in m.parameters()}
    return {p for m in method.modules() if isinstance(m, Encoder) for p in m.parameters()} - copies


def describe_trained(method: Method) -> str:
    """Return one line on how many parameters are trained of how many; momentum copies and teachers do not count."""
    inside = list_encoder_parameters(method)
    encoder, trained = sum(p.numel() for p in inside), sum(p.numel() for p in inside if p.requires_grad)
    heads = sum(p.numel() for p in method.parameters() if p.requires_grad) - trained
    share = 100 * (trained + heads) / (encoder + heads)
    return f"trains {trained:,} of {encoder:,} parameters of encoders, and {heads:,} of heads: {share:.2g} % of all"


def build_loader(recipe: Recipe, method: Method, split: Split, world: World) -> Loader:
    """Build the loader that makes the views of a method; raises LongtailError if they cannot be made."""
    shares, transform_set = world.size * recipe.accumulate, recipe.transform_set
    if recipe.batch_size % shares:
        wish = f"ask for a multiple of {shares}, such as {recipe.batch_size // shares * shares}"
        if recipe.batch_size < shares:
            wish = "ask for fewer processes or a smaller --accumulate"
        raise LongtailError(
            f"a batch of {recipe.batch_size} images cannot be divided equally by {shares} (processes x micro-batches); {wish}"
        )
    check_test_time_views(recipe, method)
    transforms: list[Compose | RandomLook]
    shard = {"rank": world.rank, "world_size": world.size}
    if isinstance(split.train, LazyImages):
        return StreamLoader(split, transform_set, method.views, recipe.batch_size, recipe.seed, world.device, **shard)
    if isinstance(split.train, FeatureSet):
        transforms = [RandomLook(split.train.looks)] * len(method.views)
        # all features lie on the device already, so a chunk is an epoch
        return Loader(split, transforms, recipe.batch_size, recipe.seed, world.device, len(split.train), **shard)
    if transform_set.eval_transform:
        raise LongtailError(
            f"views '{recipe.views}' are cut from files, and {split.name} is in memory; leave --views out"
        )
    if unknown := sorted(set(method.views) - transform_set.transforms.keys()):
        raise unknown_name(f"view of {recipe.method}", unknown[0], transform_set.transforms)
    size = tuple(split.train.images.shape[-2:])
    if size != (transform_set.size, transform_set.size):
        raise LongtailError(
            f"views '{recipe.views}' are for {transform_set.size} x {transform_set.size} images, those of {split.name} "
            f"are {size[0]} x {size[1]}; leave --views and --recipe out to take those of the data set"
        )
    transforms = [cast("Compose", transform_set.transforms[name]) for name in method.views]
    chunk_size = world.chunk_size(transform_set.size)
    return Loader(split, transforms, recipe.batch_size, recipe.seed, world.device, chunk_size, **shard)


def check_test_time_views(recipe: Recipe, method: Method) -> None:
    """Raise LongtailError if `adapt` asks for random views of files, which only training makes."""
    if not recipe.frozen and recipe.transform_set.eval_transform and set(method.test_time_views) - {"plain"}:
        raise LongtailError(
            f"{recipe.method} would learn from the test images under random views, which views '{recipe.views}' have for "
            f"training only; leave --aggregate out, or take --views custom-{recipe.transform_set.size}"
        )


def describe_run(recipe: Recipe, split: Split, world: World, epochs: int, steps: int) -> str:
    """Return one line on what is trained, on which images, for how long, and where, and one on what was chosen."""
    groups = split.classes.groups
    by_group = ", ".join(f"{groups.count(name)} {name}" for name in ("many", "medium", "few"))
    return (
        f"{recipe.method} on {split.name}: {len(split.train):,} training images, {len(groups)} classes ({by_group}), "
        f"{len(split.test):,} test images; {describe_network(recipe)}, {format_count(epochs, 'epoch')} of {steps} steps, "
        f"{world.display_name}, {recipe.precision}{describe_streaming(split)}\n{describe_choices(recipe)}"
    )


def describe_resume(done: int, epochs: int) -> str:
    """Return how a run goes on after the epochs that are done."""
    return f"goes on with epoch {done + 1}" if done < epochs else "has all its epochs, and is tested"


def describe_choices(recipe: Recipe) -> str:
    """Return one line on the settings that most often decide whether a run is any good."""
    transform_set, held = recipe.transform_set, {"validate": recipe.val_share, "test": recipe.test_share}
    held_out = [f"{share:g} of every class held out to {purpose}" for purpose, share in held.items() if share]
    views = f"horizontal flips {'on' if transform_set.has_flips else 'off'}"
    if recipe.frozen:
        views = f"{format_count(recipe.frozen_views, 'look')} at an image"
    return (
        f"weights {recipe.weights or 'random'}, learning rate {recipe.lr:g}, batch {recipe.batch_size}, images of "
        f"{transform_set.size} x {transform_set.size}, {views}, " + (", ".join(held_out) or "nothing held out")
    )


def describe_network(recipe: Recipe) -> str:
    """Return the name of the network and, on a frozen one, the width of the necks."""
    if not recipe.frozen:
        return recipe.net + (f" (tune {recipe.tune})" if recipe.tune else "")
    return f"frozen {recipe.net}" + (f" with necks of {recipe.neck}" if recipe.neck else "")


def describe_streaming(split: Split) -> str:
    """Return the suffix of a run's description for images that are streamed from files; "" for those in memory."""
    if not isinstance(split.train, LazyImages):
        return ""
    workers = count_workers(split.train.workers)
    return f"; streamed from files by {workers} worker{'' if workers == 1 else 's'}"

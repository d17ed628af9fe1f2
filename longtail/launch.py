"""Launch a run: build a trainer from a recipe, and train."""

import os
from collections.abc import Callable
from pathlib import Path

import torch

from longtail.checkpoint import NAME as CHECKPOINT
from longtail.data import Split
from longtail.data.eval_transform import build_eval_transform
from longtail.data.memory import check_tested_images
from longtail.data.seeding import derive_seed
from longtail.distributed import World, init_world
from longtail.errors import LongtailError, expand_path
from longtail.evaluate import begin_with_class_means
from longtail.features import build_extractor, cache_root
from longtail.machine import check_precision, default_threads
from longtail.methods import Method, describe_origin
from longtail.nets import CosineHeads, FrozenNet, PretrainedWeights
from longtail.recipe import Recipe
from longtail.runs.folder import RunFolder
from longtail.runs.results import ENCODER_WEIGHTS
from longtail.selection import check_selection
from longtail.stages import build_loader, describe_trained, plan_stages
from longtail.teaching import check_teacher_of_run, describe_teacher, give_teacher
from longtail.tracking import ProgressReport
from longtail.trainer import Trainer
from longtail.unpack import unpack_training_images


def train(
    recipe: Recipe,
    out: str | Path,
    report: ProgressReport,
    *,
    root: str | None = None,
    resume: bool = False,
    device: str = "auto",
    threads: int | None = None,
    workers: int | None = None,
    cache: str | Path | None = None,
    slim: bool = False,
) -> RunFolder:
    """Train, evaluate and keep one run in the folder `out`; with `resume`, continue or begin it.

    `cache` is the folder of cached features; a `slim` run does not keep its frozen encoder.

    Raises LongtailError for bad input, an existing folder, and a loss that is no longer finite.
    """
    world = init_world(device, threads)
    with world.session(tf32=recipe.precision == "tf32"), world.report_lost_process():
        trainer = build_trainer(recipe, out, report, world, root, resume, workers, cache=cache, slim=slim)
        trainer.fit()
    assert trainer.run
    return trainer.run


def build_trainer(
    recipe: Recipe,
    out: str | Path,
    report: ProgressReport,
    world: World,
    root: str | None = None,
    resume: bool = False,
    workers: int | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    cache: str | Path | None = None,
    slim: bool = False,
) -> Trainer:
    """Load the data, build the method, claim the folder: whatever can go wrong does so before the first step.

    `should_stop` is asked every few steps; once it returns True, `Trainer.fit` raises Stopped, to be resumed later.
    """
    check_precision(recipe.precision, world.device)
    if slim and not recipe.frozen:
        raise LongtailError("slim leaves out a frozen encoder, and this run trains its own; leave --slim out")
    weights = world.main_first(recipe.find_weights)  # may download
    if world.threads is None:
        torch.set_num_threads(default_threads(recipe.transform_set.size))  # the session restores the caller's
    if resume:
        restore_threads(out, report, world)
    world.on_main(lambda: RunFolder(out).check_new(resume))  # before minutes of work
    split, trunk = load_inputs(recipe, out if resume else None, weights, report, world, root, workers, cache)
    recipe = keep_test_share(recipe, split).change(group=split.grouping).fit_batch_size(split)
    torch.manual_seed(derive_seed(recipe.seed, 0))
    method = recipe.build_method(split.classes.counts).to(world.device)
    check_selection(recipe, split, method)
    if recipe.tune:
        method.notes.append(describe_trained(method))
    check_heads(recipe, method)
    give_teacher(method, recipe, split, weights.sha256 if weights else None)
    plans, loader = plan_stages(method.stages(), recipe.epochs), build_loader(recipe, method, split, world)

    def claim() -> RunFolder:
        run = RunFolder.claim(out, recipe, split, resume)
        places = {"root": make_absolute(root), "cache": make_absolute(cache)}
        record_origin(run, recipe, method, weights, world.describe() | places, report)
        if trunk is not None and not slim and not run.has(ENCODER_WEIGHTS):
            run.write_tensors(ENCODER_WEIGHTS, trunk.state_dict())
        return run

    run = world.on_main(claim)
    if recipe.class_means and not world.on_main(lambda: run.has(CHECKPOINT)):
        report.phase("computing the mean features of the classes")
        begin_with_class_means(method, split.train, recipe.transform_set, world)
    return Trainer(recipe, method, split, plans, loader, run, report, world, should_stop)


def load_inputs(
    recipe: Recipe,
    begun: str | Path | None,
    weights: PretrainedWeights | None,
    report: ProgressReport,
    world: World,
    root: str | None,
    workers: int | None,
    cache: str | Path | None,
) -> tuple[Split, torch.nn.Module | None]:
    """Load the images of a run or, on a frozen encoder, its features, and return them with the encoder.

    `begun` is the folder of a run that is resumed: data of the hub are read at the commits that it began with.
    """
    commits = world.on_main(lambda: read_commits(RunFolder(begun))) if begun else None
    split = world.main_first(lambda: recipe.load_split(root, workers, not recipe.frozen, commits))
    if recipe.frozen:
        net = recipe.build_net()
        assert isinstance(net, FrozenNet) and weights is not None
        trunk = net.build_trunk()
        extractor = build_extractor(recipe, weights.provenance(), trunk, world, report, cache)
        return extractor.extract_split(split, recipe.frozen_views, recipe.skip_bad), trunk
    if not recipe.skip_bad:  # which has decoded all images
        min_side = build_eval_transform(recipe.transform_set).min_side
        world.on_main(lambda: check_tested_images(split, min_side))
    return unpack_training_images(split, cache_root(cache), report, world), None


def record_origin(
    run: RunFolder,
    recipe: Recipe,
    method: Method,
    weights: PretrainedWeights | None,
    environment: dict,
    report: ProgressReport,
) -> None:
    """Write where a new run comes from; raises LongtailError if a begun run would go on with other weights or teacher."""
    if run.has("environment.json"):
        note_changed_method(run, recipe.method, report)
        if weights and recipe.frozen:
            check_weights_of_run(run, weights.sha256)
        if method.teacher_run:
            check_teacher_of_run(run, method.teacher_run)
        return
    where: dict = environment | describe_origin(recipe.method)
    if weights:
        where["weights"] = weights.provenance()
        report.note(weights.describe())
    if method.teacher_run:
        where["teacher"] = describe_teacher(method.teacher_run)
    run.write_json("environment.json", where)


def read_commits(run: RunFolder) -> dict[str, str] | None:
    """Return the commits of the data sets of the hub that a begun run reads; None for none."""
    return run.read_json("split.json").get("commits") if run.has("split.json") else None


def check_heads(recipe: Recipe, method: Method) -> None:
    """Raise LongtailError for heads that cannot begin with the mean features of the classes."""
    if not recipe.class_means:
        return
    if method.begins_anew:
        raise LongtailError(
            f"{recipe.method} tests a network that begins anew in a later stage; leave --class-means out"
        )
    if not isinstance(getattr(method, "cls", None), CosineHeads):
        raise LongtailError(
            f"class_means is of cosine heads, which {recipe.method} has not here; add --head cosine, if it has that option, "
            "or leave --class-means out"
        )


def keep_test_share(recipe: Recipe, split: Split) -> Recipe:
    """Return the recipe with the share of the test images that are held out because the data have none."""
    if not split.test_share or recipe.test_share:
        return recipe
    split.notes.append(
        f"no test images: about {split.test_share:g} of every class is held out to test on, always the same images; "
        "--test-share sets another share, --test names test images"
    )
    return recipe.change(test_share=split.test_share)


def note_changed_method(run: RunFolder, method: str, report: ProgressReport) -> None:
    """Note that the file of a method of the user's own was changed after the run was begun."""
    here = describe_origin(method).get("method_sha256")
    with run.report_damage("environment.json"):
        there = run.read_json("environment.json").get("method_sha256", here)
    if not run.is_finished() and there != here:
        report.note(
            f"the file of {method} was changed after {run.path} was begun: its epochs follow two versions of it"
        )


def check_weights_of_run(run: RunFolder, sha256: str) -> None:
    """Raise LongtailError if a frozen run was begun with other weights, whose features would be mixed with these."""
    with run.report_damage("environment.json"):
        there = run.read_json("environment.json")["weights"]
        if there["sha256"] != sha256:
            raise LongtailError(
                f"{run.path} was begun with other weights of the encoder ({there['source']}, sha256 {there['sha256'][:8]}..., "
                f"now {sha256[:8]}...); restore them, or choose another --out"
            )


def make_absolute(path: str | Path | None) -> str | None:
    """Return a path from the root of the file system; None stays None."""
    return str(expand_path(path).resolve()) if path else None


def restore_threads(out: str | Path, report: ProgressReport, world: World) -> None:
    """Set the CPU threads that an unfinished run was begun with, unless the user asks for a number of threads.

    The number decides in which order sums are added, and so their last bits. A note names what differs all the same:
    threads, processes, the kind of device, and torch.
    """
    run = RunFolder(out)

    def read() -> dict:
        is_begun = run.has("environment.json") and not run.is_finished()
        return run.read_json("environment.json") if is_begun else {}

    there = world.on_main(read)
    threads = there.get("threads")
    if world.threads is None and type(threads) is int and 1 <= threads <= (os.cpu_count() or 1):
        torch.set_num_threads(threads)  # the session restores the caller's
    here = world.describe()
    keys = ["device_name", "processes", "torch"] + ["threads"] * (world.device.type == "cpu")
    if changed := [f"{key} {there[key]}, now {here[key]}" for key in keys if there.get(key, here[key]) != here[key]]:
        report.note(
            f"{run.path} was begun with {'; '.join(changed)}: the last bits of its weights will not be those of a run "
            "that was never interrupted"
        )

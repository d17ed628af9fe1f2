"""The command `longtail suspects`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from longtail.commands.flags import Device, Root, Threads, parse_integer
from longtail.errors import escape_controls, expand_path
from longtail.validation import LARGEST_SEED, Range, check_value


def suspects(
    run: str,
    /,
    *,
    out: Annotated[
        str | None, Parameter(help="new .csv table, with a page of photographs beside it; by default suspects-RUN.csv")
    ] = None,
    seed: Annotated[int, Parameter(help="seed of the folds and of the heads", converter=parse_integer)] = 0,
    root: Root = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Find training images whose labels are probably wrong; a table, and a page with photographs."""
    check_value("seed", seed, int, Range(0, LARGEST_SEED))
    from longtail.commands.console import break_silence
    from longtail.data import FeatureSet
    from longtail.distributed import init_world
    from longtail.inspection.photo_page import check_outputs
    from longtail.inspection.suspects import judge_labels, load_features
    from longtail.inspection.suspects_page import describe_features, write_suspects
    from longtail.runs.finished import FinishedRun

    found = FinishedRun.open(run)
    table = expand_path(out) if out else Path(f"suspects-{found.path.resolve().name}.csv")
    page = check_outputs(table)
    world, is_tf32 = init_world(device, threads), found.recipe.precision == "tf32"
    with break_silence("judging the labels"), world.session(tf32=is_tf32):
        split = found.load_data(root)
        found.folder.check_images(split, "train")
        features = load_features(found, split, world.device)
        assert not isinstance(split.train, FeatureSet)
        groups = split.train.groups
        judgment = judge_labels(
            features, split.train.labels.numpy(), len(split.classes), groups, seed=seed, device=device
        )
        write_suspects(table, page, judgment, split, found)
    faults, judged = int(judgment.find_faults().sum()), int(judgment.is_judged.sum())
    print(describe_features(found))
    if judged < len(judgment.labels):
        rest = len(judgment.labels) - judged
        verb, whose = ("image is", "its") if rest == 1 else ("images are", "their")
        print(f"{rest:,} {verb} not judged: no other fold holds an image of {whose} class")
    print(f"{escape_controls(table)}: {faults:,} of {judged:,} labels are probably wrong, the least probable first")
    print(f"{escape_controls(page)}: the same with photographs")

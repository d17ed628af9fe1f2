"""The command `longtail label`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from longtail.commands.flags import Device, Root, Selected, Threads, parse_integer
from longtail.commands.predict import report_skipped
from longtail.data.decode import BadImage
from longtail.errors import LongtailError, escape_controls, expand_path
from longtail.validation import LARGEST_SEED, Range, check_value
from longtail.wording import format_count

if TYPE_CHECKING:
    from longtail.api import Model

DEFAULT = 200  # images to choose


def label(
    run: str,
    /,
    *pool: str,
    n: Annotated[
        int | None,
        Parameter(help="number of images to choose; by default 200, or all of fewer", converter=parse_integer),
    ] = None,
    out: Annotated[
        str | None, Parameter(help="new .csv table, with a page of photographs beside it; by default label-RUN.csv")
    ] = None,
    seed: Annotated[int, Parameter(help="seed of the choice", converter=parse_integer)] = 0,
    root: Root = None,
    selected: Selected = False,
    device: Device = "auto",
    threads: Threads = None,
) -> int:
    """Choose which unlabeled images to label next; a table, and a page with photographs."""
    if n is not None:
        check_value("n", n, int, Range(1))
    check_value("seed", seed, int, Range(0, LARGEST_SEED))
    if not pool:
        raise LongtailError("name the unlabeled images: files, folders, or lists of paths (.txt, .csv, .tsv)")
    from longtail import api
    from longtail.commands.console import break_silence
    from longtail.inference.images import find_images
    from longtail.inspection.label_page import Choice, write_choice
    from longtail.inspection.labeling import choose_images, compute_scores, read_pool
    from longtail.inspection.photo_page import check_outputs

    model = api.load(run, selected=selected, device=device, threads=threads)
    table = expand_path(out) if out else Path(f"label-{model.run.path.resolve().name}.csv")
    page = check_outputs(table)
    bad: list[BadImage] = []
    skipped: list[str] = []
    with break_silence("reading the pool"):
        paths = list(dict.fromkeys(find_images(pool, skipped)))
        unseen, lines = leave_out_known(model, paths, root)
        with model.world.session(tf32=model.recipe.precision == "tf32"):
            found = read_pool(unseen, model.method, model.transform_set, bad)
        wanted = n or min(DEFAULT, len(found)) or DEFAULT
        if len(found) < wanted:
            raise LongtailError(describe_shortage(wanted, len(found), len(paths), len(paths) - len(unseen), bad))
        scores = compute_scores(found.probabilities, model.train_counts)
        choice = Choice(found, scores, choose_images(found.features, scores, wanted, seed), len(paths))
        write_choice(table, page, choice, model.run, lines)
    print(*lines, sep="\n", end="\n" * bool(lines))
    print(f"{escape_controls(table)}: {wanted:,} of {len(found):,} images, the first of most worth")
    print(f"{escape_controls(page)}: the same with photographs")
    return report_skipped(bad, skipped, "judged")


def leave_out_known(model: "Model", paths: list[str], root: str | None) -> tuple[list[str], list[str]]:
    """Return the paths of images that are new to a run, and a line on each kind of images that are left out."""
    from longtail.inspection.seen import find_known_images

    try:
        split = model.run.load_data(root)
    except LongtailError as error:
        return paths, [f"the pool was not compared with the images of the run, which cannot be read: {error}"]
    known = find_known_images(paths, split)
    words = {"train": "training", "val": "validation", "test": "test"}
    counts = {words[name]: sum(kind == name for kind in known) for name in split.subsets}
    lines = [
        f"left out {format_count(count, 'image')} of the pool: the content is that of {name} images of the run"
        for name, count in counts.items()
        if count
    ]
    return [path for path, kind in zip(paths, known, strict=True) if kind is None], lines


def describe_shortage(n: int, there: int, pool: int, known: int, bad: list[BadImage]) -> str:
    """Return why a pool has fewer images than are asked for, and what to do."""
    parts = [f"{known:,} are images of the run"] * bool(known) + [f"{len(bad):,} cannot be read"] * bool(bad)
    rest = f", as {' and '.join(parts)}" if parts else ""
    advice = f"take --n {there} or less, or a larger pool" if there else "name another pool"
    return f"n is {n:,}, and {there:,} of the {pool:,} images of the pool can be chosen{rest}; {advice}"

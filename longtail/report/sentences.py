"""The sentences at the head of a report."""

import os

import numpy as np

from longtail.analysis.accuracy import find_extremes
from longtail.analysis.style import format_percent
from longtail.data import format_data_name
from longtail.report.summary import RunSummary
from longtail.stages import describe_network
from longtail.wording import format_count


def format_title(summaries: list[RunSummary]) -> str:
    """Return the title of the page: the method or the labels of several runs, and the data."""
    names = [summary.recipe.method if len(summaries) == 1 else summary.label for summary in summaries]
    return f"{join_names(names)} on {format_data_name(summaries[0].recipe.data)}"


def format_lead(summaries: list[RunSummary]) -> str:
    """Return the first paragraph: the training images, the schedule, and the source of the numbers."""
    first = summaries[0]
    counts, split = first.classes.counts, first.split
    data = (
        f"Trained on {split['train_images']:,} images of {len(counts):,} classes with {min(counts):,} to {max(counts):,} "
        "images each"
    )
    source = (
        f"All numbers are of the last epoch, on {split['test_images']:,} test images. They were not used to choose an epoch "
        "or a setting."
    )
    if len(summaries) == 1:
        return f"{data}: {format_schedule(first)}. {source}"
    schedules = [format_schedule(summary) for summary in summaries]
    if len(set(schedules)) == 1:
        return f"{data}. Each run: {schedules[0]}. {source}"
    each = "; ".join(f"{summary.label}, {schedule}" for summary, schedule in zip(summaries, schedules, strict=True))
    return f"{data}. Runs: {each}. {source}"


def format_schedule(summary: RunSummary) -> str:
    """Return network, epochs and seeds, such as "3 experts of conv4, 60 epochs, seed 0"."""
    recipe, seeds = summary.recipe, summary.seeds
    net = (
        describe_network(recipe) if summary.experts == 1 else f"{summary.experts} experts of {describe_network(recipe)}"
    )
    seed_text = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {join_names([str(seed) for seed in seeds])}"
    return f"{net}, {format_count(recipe.epochs, 'epoch')}, {seed_text}"


def format_noise(summaries: list[RunSummary]) -> str:
    """Return the note on sampling noise and the variation over seeds."""
    tested = summaries[0].split["test_images"]
    if not tested:
        return "There are no test images, so there are no measurements."
    top1 = max(summary.metrics["plain"]["ensemble"]["top1"]["mean"] for summary in summaries) / 100
    # binomial standard error of the best run's top-1
    error = 100 * (top1 * (1 - top1) / tested) ** 0.5
    sampling = f"The sample of {tested:,} test images gives top-1 a standard error of {error:.1f} points."
    if len(summaries) == 1:
        single = " Initial weights and batch order add to this error; train with --seeds to measure their effect."
        return sampling + (single if len(summaries[0].seeds) == 1 else " ± is the standard deviation over seeds.")
    single_seed = [summary.label for summary in summaries if len(summary.seeds) == 1]
    if single_seed:
        return (
            f"There is only one seed of {join_names(single_seed)}, so a difference may be chance; train with --seeds to find "
            f"out. {sampling}"
        )
    return f"≈ marks a lead within noise, below two standard errors of the difference over seeds. {sampling}"


def format_extremes(summary: RunSummary) -> str:
    """Return the best and the worst class with the number of test images that each rests on; "" without test images."""
    accuracy = np.array([row["plain"] for row in summary.per_class], dtype=float)
    tested = np.array([row["test_images"] for row in summary.per_class])
    if np.isnan(accuracy).all():
        return ""
    sentences = []
    for word, c in zip(("Best", "Worst"), find_extremes(accuracy, tested), strict=True):
        if (equal := int((accuracy == accuracy[c]).sum()) - 1) == np.isfinite(accuracy).sum() - 1:
            return ""  # all tested classes are equal
        share = f"{format_percent(accuracy[c])} of {tested[c]:,} test image{'' if tested[c] == 1 else 's'}"
        others = f" ({equal:,} more {'class is' if equal == 1 else 'classes are'} equal)" if equal else ""
        sentences.append(f"{word} class: {summary.classes.names[c]}, {share}{others}.")
    return " ".join(sentences)


def format_folder(summary: RunSummary) -> str:
    """Return the name of the run folder, without the folders above it."""
    return os.path.basename(os.path.abspath(summary.path))


def count_groups(summary: RunSummary) -> dict[str, int]:
    """Return the number of classes of each group that has classes."""
    groups = summary.classes.groups
    return {name: groups.count(name) for name in ("many", "medium", "few") if name in groups}


def join_names(names: list[str]) -> str:
    """Join names as "a", "a and b", or "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

"""The sentences at the head of a report."""

from longtail.report.summary import RunSummary


def format_title(summaries: list[RunSummary]) -> str:
    """A name for the page: the methods and the data, with the folders of runs that are of one method."""
    names = [summary.recipe.method if len(summaries) == 1 else summary.label for summary in summaries]
    return f"{join_names(names)} on {summaries[0].recipe.data}"


def format_lead(summaries: list[RunSummary]) -> str:
    """What was trained on what, for how long, and where the numbers come from."""
    first = summaries[0]
    counts, split = first.classes.counts, first.split
    data = (
        f"Trained on {split['train_images']:,} images of {len(counts):,} classes, the largest with {max(counts):,} and "
        f"the smallest with {min(counts):,}"
    )
    where = (
        "All numbers are those of the last epoch, on "
        f"{split['test_images']:,} test images that chose nothing: neither epoch nor setting."
    )
    if len(summaries) == 1:
        return f"{data}; {format_schedule(first)}. {where}"
    plans = [format_schedule(summary) for summary in summaries]
    if len(set(plans)) == 1:
        return f"{data}; each run for {plans[0]}. {where}"
    each = "; ".join(f"{summary.label} with {plan}" for summary, plan in zip(summaries, plans, strict=True))
    return f"{data}: {each}. {where}"


def format_schedule(summary: RunSummary) -> str:
    """ "3 x conv4, 60 epochs, seed 0"."""
    recipe, seeds = summary.recipe, summary.seeds
    net = recipe.net if summary.experts == 1 else f"{summary.experts} experts of {recipe.net}"
    epochs = f"{recipe.epochs:,} epoch{'s' if recipe.epochs > 1 else ''}"
    of = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {join_names([str(seed) for seed in seeds])}"
    return f"{net}, {epochs}, {of}"


def format_noise(summaries: list[RunSummary]) -> str:
    """How far the numbers are to be trusted."""
    tested = summaries[0].split["test_images"]
    if not tested:
        return "There are no test images, so nothing was measured."
    top1 = max(summary.metrics["plain"]["ensemble"]["top1"]["mean"] for summary in summaries) / 100
    error = 100 * (top1 * (1 - top1) / tested) ** 0.5
    chance = f"The choice of {tested:,} test images alone gives top-1 a standard error of {error:.1f} points"
    if len(summaries) == 1:
        more = "; that of weights and order comes on top" + (
            ", which --seeds would show." if len(summaries[0].seeds) == 1 else ": see ±."
        )
        return chance + more
    alone = [summary.label for summary in summaries if len(summary.seeds) == 1]
    if alone:
        return f"One seed only of {join_names(alone)}: whether a lead is more than chance is open; --seeds would show. {chance}."
    return f"≈ marks a lead below two standard errors of the difference over seeds: within noise. {chance}."


def count_groups(summary: RunSummary) -> dict[str, int]:
    """The groups that have classes, and how many."""
    groups = summary.classes.groups
    return {name: groups.count(name) for name in ("many", "medium", "few") if name in groups}


def join_names(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

"""The sentences at the head of a report."""

from longtail.report.subject import Subject


def title(subjects: list[Subject]) -> str:
    """A name for the page: the methods and the data, with the folders of runs that are of one method."""
    names = [subject.recipe.method if len(subjects) == 1 else subject.label for subject in subjects]
    return f"{join(names)} on {subjects[0].recipe.data}"


def lead(subjects: list[Subject]) -> str:
    """What was trained on what, for how long, and where the numbers come from."""
    first = subjects[0]
    counts, split = first.classes.counts, first.split
    data = (
        f"Trained on {split['train_images']:,} images of {len(counts):,} classes, the largest with {max(counts):,} and "
        f"the smallest with {min(counts):,}"
    )
    where = (
        "All numbers are those of the last epoch, on "
        f"{split['test_images']:,} test images that chose nothing: neither epoch nor setting."
    )
    if len(subjects) == 1:
        return f"{data}; {schedule(first)}. {where}"
    plans = [schedule(subject) for subject in subjects]
    if len(set(plans)) == 1:
        return f"{data}; each run for {plans[0]}. {where}"
    each = "; ".join(f"{subject.label} with {plan}" for subject, plan in zip(subjects, plans, strict=True))
    return f"{data}: {each}. {where}"


def schedule(subject: Subject) -> str:
    """ "3 x conv4, 60 epochs, seed 0"."""
    recipe, seeds = subject.recipe, subject.seeds
    net = recipe.net if subject.experts == 1 else f"{subject.experts} experts of {recipe.net}"
    epochs = f"{recipe.epochs:,} epoch{'s' if recipe.epochs > 1 else ''}"
    of = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {join([str(seed) for seed in seeds])}"
    return f"{net}, {epochs}, {of}"


def noise(subjects: list[Subject]) -> str:
    """How far the numbers are to be trusted."""
    tested = subjects[0].split["test_images"]
    if not tested:
        return "There are no test images, so nothing was measured."
    top1 = max(subject.summary["plain"]["ensemble"]["top1"]["mean"] for subject in subjects) / 100
    error = 100 * (top1 * (1 - top1) / tested) ** 0.5
    chance = f"The choice of {tested:,} test images alone gives top-1 a standard error of {error:.1f} points"
    if len(subjects) == 1:
        more = "; that of weights and order comes on top" + (
            ", which --seeds would show." if len(subjects[0].seeds) == 1 else ": see ±."
        )
        return chance + more
    alone = [subject.label for subject in subjects if len(subject.seeds) == 1]
    if alone:
        return (
            f"One seed only of {join(alone)}: whether a lead is more than chance is open; --seeds would show. {chance}."
        )
    return f"≈ marks a lead below two standard errors of the difference over seeds: within noise. {chance}."


def sizes(subject: Subject) -> dict[str, int]:
    """The groups that have classes, and how many."""
    groups = subject.classes.groups
    return {name: groups.count(name) for name in ("many", "medium", "few") if name in groups}


def join(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)

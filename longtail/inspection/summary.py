"""The facts as rows of text, the same in the terminal and on the page."""

from collections.abc import Iterable

import numpy as np

from longtail.inspection.facts import Facts


def build_overview(facts: Facts) -> list[tuple[str, str]]:
    """What and how much, a row each."""
    groups = facts.classes.groups
    rows = [
        ("images", ", ".join(f"{part} {len(images):,}" for part, images in facts.subsets.items())),
        ("classes", f"{len(groups):,}: {', '.join(f'{groups.count(g):,} {g}' for g in ('many', 'medium', 'few'))}"),
        ("imbalance", f"{facts.imbalance:.3g}, Gini {facts.gini:.2f}" if facts.imbalance else "n/a"),
        ("smallest classes", join_first(f"{name} ({count:,})" for name, count in facts.smallest())),
    ]
    for part in facts.counts:
        if gone := facts.absent(part):
            rows.append((f"not in {part}", f"{len(gone):,}: {join_first(gone, 5)}"))
    return rows + describe_images(facts)


def describe_images(facts: Facts) -> list[tuple[str, str]]:
    """Sizes, kinds, what is unreadable and what is there twice."""
    sides, duplicates = facts.looks.sides, facts.duplicates
    rows = []
    if len(sides):
        (low, middle, high) = (np.percentile(sides, q, axis=0, method="nearest").astype(int) for q in (0, 50, 100))
        width, height = (f"{low[i]} to {high[i]}, median {middle[i]}" for i in (0, 1))
        rows.append(("pixels", f"width {width}; height {height}"))
        rows.append(("kinds", join_first(f"{kind} {times:,}" for kind, times in facts.looks.kinds.most_common(6))))
    how = "decoded" if facts.looks.whole else "headers only; --every decodes all"
    rows.append(("unreadable", f"{len(facts.looks.bad):,} ({how})"))
    within = ", ".join(f"{part} {duplicates.within(part):,}" for part in facts.subsets)
    leaks = ", ".join(f"{part} {len(duplicates.leaks(part)):,}" for part in facts.subsets if part != "train")
    rows.append(("duplicates", f"within {within}" + (f"; also in train: {leaks}" if leaks else "")))
    return rows + [("note", note) for note in facts.notes]


def list_faults(facts: Facts, most: int) -> list[tuple[str, int, list[str]]]:
    """Lists of what is wrong: title, how many, and the first of them."""
    duplicates, found = facts.duplicates, []
    bad = facts.looks.bad
    found.append(("Unreadable images", len(bad), [str(error) for error in bad.first[:most]]))
    for part in facts.subsets:
        if part != "train":
            leaks = duplicates.leaks(part)
            lines = [f"{facts.place(i)} = {facts.place(duplicates.twin(i))}" for i in leaks[:most]]
            found.append((f"In {part} and in train", len(leaks), lines))
    conflicts = duplicates.conflicts()
    found.append(("The same image under several classes", len(conflicts), [facts.place(i) for i in conflicts[:most]]))
    return [entry for entry in found if entry[1]]


def join_first(names: Iterable[str], most: int = 10) -> str:
    """Names in a row, the first few of many."""
    names = list(names)
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")

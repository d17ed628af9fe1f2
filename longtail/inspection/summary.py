"""The facts as rows of text for the terminal and the page."""

from collections.abc import Iterable

import numpy as np

from longtail.errors import escape_controls
from longtail.inspection.facts import Facts
from longtail.inspection.near import NEAR
from longtail.inspection.suggestions import has_test
from longtail.metrics.names import GROUPS


def build_overview(facts: Facts) -> list[tuple[str, str]]:
    """Return name and value of each row of the overview."""
    groups = facts.classes.groups
    held_out = "" if has_test(facts) else ", before a fifth of every class is held out to test on"
    rows = [
        ("images", ", ".join(f"{subset} {len(images):,}" for subset, images in facts.subsets.items())),
        ("classes", f"{len(groups):,}: {', '.join(f'{groups.count(g):,} {g}' for g in GROUPS)}{held_out}"),
        ("imbalance", f"{facts.imbalance:.3g}, Gini {facts.gini:.2f}" if facts.imbalance else "n/a"),
        ("smallest classes", join_first(f"{name} ({count:,})" for name, count in facts.find_smallest_classes())),
    ]
    for subset in facts.counts:
        if missing := facts.find_empty_classes(subset):
            rows.append((f"classes not in {subset}", f"{len(missing):,}: {join_first(missing, 5)}"))
    return rows + describe_images(facts)


def describe_images(facts: Facts) -> list[tuple[str, str]]:
    """Return the rows on sizes, kinds, unreadable images, duplicates and notes."""
    headers, duplicates = facts.headers, facts.duplicates
    rows = []
    if len(headers.sides):
        quantiles = [np.percentile(headers.sides, q, axis=0, method="nearest").astype(int) for q in (0, 50, 100)]
        low, middle, high = quantiles
        width, height = (f"{low[i]} to {high[i]}, median {middle[i]}" for i in (0, 1))
        rows.append(("pixels", f"width {width}; height {height}"))
        rows.append(("kinds", join_first(f"{kind} {number:,}" for kind, number in headers.kinds.most_common(6))))
    check = "every file was tried" if headers.is_decoded else "only headers read; --every decodes all images"
    rows.append(("unreadable", f"{len(headers.bad):,} ({check})"))
    within = ", ".join(f"{name} {duplicates.count_within(name):,}" for name in facts.subsets)
    leaks = ", ".join(f"{name} {len(duplicates.find_leaks(name)):,}" for name in facts.subsets if name != "train")
    rows.append(("duplicates", f"within {within}" + (f"; also in train: {leaks}" if leaks else "")))
    if near := facts.near:
        kinds = ", ".join(
            f"{len(pairs):,} {title.removeprefix(NEAR)}" for title, pairs in near.find_kinds(duplicates).items()
        )
        found = f"{near.pairs.total:,} pairs of cosine {near.cosine:g} or more under {near.net}"
        rows.append(("near duplicates", f"{found}: {kinds}" if kinds else found))
    return rows + [("note", note) for note in facts.notes]


def list_faults(facts: Facts, most: int) -> list[tuple[str, int, list[str]]]:
    """Return title, number and the first lines of each list of faults."""
    duplicates, bad = facts.duplicates, facts.headers.bad
    faults = [("Unreadable images", len(bad), [str(error) for error in bad.first[:most]])]
    for subset in facts.subsets:
        if subset != "train":
            leaks = duplicates.find_leaks(subset)
            copies = [(i, duplicates.find_train_copy(i)) for i in leaks[:most]]
            lines = [f"{facts.describe_image(i)} = {facts.describe_image(copy)}" for i, copy in copies]
            faults.append((f"Images in both {subset} and train", len(leaks), lines))
    conflicts = duplicates.find_conflicts()
    lines = [facts.describe_image(i) for i in conflicts[:most]]
    faults.append(("Copies of images with several classes", len(conflicts), lines))
    return [fault for fault in faults if fault[1]]


def list_near(facts: Facts, most: int) -> list[tuple[str, int, list[str]]]:
    """Return title, number and the first lines of each kind of near duplicates, the nearest first."""
    if facts.near is None:
        return []
    pairs = facts.near.pairs

    def describe(row: int) -> str:
        a, b = map(facts.describe_image, pairs.positions[row].tolist())
        return f"{pairs.cosines[row]:.2f}  {a} ~ {b}"

    kinds = facts.near.find_kinds(facts.duplicates)
    return [(title, len(rows), [describe(row) for row in rows[:most]]) for title, rows in kinds.items()]


def join_first(names: Iterable[str], most: int = 10) -> str:
    """Join the first names with commas, and count the names left out."""
    names = list(names)
    shown = ", ".join(map(escape_controls, names[:most]))
    return shown + (f" and {len(names) - most:,} more" if len(names) > most else "")

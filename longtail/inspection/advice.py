"""What to do with a data set: flags for training, what is wrong with it, and what its test images can tell."""

import math
import shlex

import numpy as np

from longtail.inspection.facts import Facts
from longtail.metrics.names import GROUPS
from longtail.recipe import largest_batch_size
from longtail.recipes import DEFAULT

STEPS = 10_000  # about 60 epochs of CIFAR-100-LT; short of a paper's schedule, enough for a first result
QUEUE = 1024  # keys that ECL keeps (Sec. VI-C)
BATCH = 64


def give_advice(facts: Facts) -> list[str]:
    """Sentences in the order of their weight."""
    return [*advise_on_faults(facts), *advise_on_training(facts), *advise_on_testing(facts)]


def advise_on_faults(facts: Facts) -> list[str]:
    """What to mend first."""
    found, duplicates = [], facts.duplicates
    if bad := len(facts.looks.bad):
        what = format_count(bad, "unreadable image", "unreadable images")
        mend = f"Mend or remove the {what}, or train with --skip-bad."
        found.append("The images are not where listed: is --root right?" if facts.looks.bad.all_missing else mend)
    for part in facts.counts.keys() - {"train"}:
        if leaks := len(duplicates.leaks(part)):
            what = format_count(leaks, f"{part} image is a training image", f"{part} images are training images")
            found.append(f"{what}, too: take them out of one, or the {part} numbers flatter.")
    if conflicts := len(np.unique(duplicates.content[duplicates.conflicts()])):
        what = format_count(conflicts, "image is", "images are")
        found.append(f"{what} there under several classes: no method can get that right.")
    if "test" not in facts.counts:
        found.append("There is no test part: train with --test-share 0.2, which holds a fifth of every class out.")
    return found


def advise_on_training(facts: Facts) -> list[str]:
    """The command to begin with, and the reasons for its flags."""
    if DEFAULT.get(facts.data, "own") != "own":
        return [f"`longtail train {facts.data}` has a recipe of its own, {DEFAULT[facts.data]}."]
    images = sum(facts.classes.counts)
    batch = min(BATCH, largest_batch_size(images))
    steps = max(images // batch, 1)
    epochs = min(max(round(STEPS / steps / 10) * 10, 30), 400)
    flags, reasons = [f"--epochs {epochs}"], [f"{epochs} epochs are about {epochs * steps:,} steps of {batch} images."]
    if len(facts.looks.sides):
        shorter = int(np.median(facts.looks.sides.min(1)))
        flags.append(f"--size {32 if shorter < 48 else 64}")
        detail = "; 96 or more keeps more detail, at a cost that grows with its square" if shorter > 96 else ""
        reasons.append(f"The median shorter side is {shorter} pixels, hence the size{detail}.")
    if images < 2 * QUEUE:
        flags.append(f"--queue {max(2 ** int(math.log2(max(images // 2, 1))), 1)}")
        reasons.append(f"ECL's queue of {QUEUE} keys would hold most of the {images:,} training images.")
    if facts.imbalance and facts.imbalance < 2:
        reasons.append("The classes are nearly equal: --imbalance 100 cuts a long tail, if that is what you study.")
    flags += ["--test-share 0.2"] * ("test" not in facts.counts) + ["--skip-bad"] * bool(facts.looks.bad)
    return [f"`longtail train {shlex.quote(facts.data)} {' '.join(flags)}`", *reasons]


def advise_on_testing(facts: Facts) -> list[str]:
    """What the test images can and cannot measure."""
    if "test" not in facts.counts:
        return []
    found, tested = [], facts.counts["test"]
    for group in GROUPS:
        sizes = [n for n, of in zip(tested, facts.classes.groups, strict=True) if of == group and n]
        if sizes:
            error, classes = compute_group_error(sizes), format_count(len(sizes), "class", "classes")
            found.append(
                f"{group.capitalize()}-shot accuracy rests on {sum(sizes):,} test images of {classes}: standard error up to "
                f"{error:.1f} points; two runs may differ by {2 * math.sqrt(2) * error:.1f} by chance."
            )
    thin = sum(0 < n < 10 for n in tested)
    if thin:
        what = format_count(thin, "class has", "classes have")
        found.append(f"{what} fewer than 10 test images: their own accuracy, and the worst class's, says little.")
    if gone := len(facts.absent("test")):
        found.append(f"{format_count(gone, 'class has', 'classes have')} no test image: n/a, no number tells of them.")
    return found


def compute_group_error(tested: list[int]) -> float:
    """Largest standard error, in points, of the mean accuracy of classes with so many test images each (all at one half)."""
    return 100 * math.sqrt(sum(0.25 / n for n in tested)) / len(tested)


def format_count(n: int, one: str, more: str) -> str:
    """A number with its noun."""
    return f"{n:,} {one if n == 1 else more}"

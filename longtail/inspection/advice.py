"""Advice on a data set: faults to repair, flags for training, and the precision of test accuracies."""

import math
import shlex

import numpy as np

from longtail.inspection.facts import LONG, Facts
from longtail.inspection.suggestions import BATCH, QUEUE, choose_queue, choose_schedule
from longtail.metrics.names import GROUPS
from longtail.recipe import largest_batch_size
from longtail.recipes import DEFAULT
from longtail.wording import format_count

MANY_LONG = 0.1  # of the images


def give_advice(facts: Facts) -> list[str]:
    """Return sentences of advice, the most important first."""
    return [*advise_on_faults(facts), *advise_on_training(facts), *advise_on_testing(facts)]


def advise_on_faults(facts: Facts) -> list[str]:
    """Return advice on unreadable images, leaks, conflicting labels and a missing test subset."""
    advice, duplicates, bad = [], facts.duplicates, facts.headers.bad
    if bad:
        images = format_count(len(bad), "unreadable image")
        repair = f"Repair or remove the {images}, or train with --skip-bad."
        is_root_wrong = bad.are_all_missing(len(facts.headers.sides) + len(bad))
        advice.append("The listed files do not exist; check --root." if is_root_wrong else repair)
    for subset in facts.counts.keys() - {"train"}:
        if leaks := len(duplicates.find_leaks(subset)):
            images = format_count(leaks, f"{subset} image is", f"{subset} images are")
            advice.append(
                f"{images} also in train, which inflates {subset} accuracy; remove the duplicates from one subset."
            )
    if conflicts := len(np.unique(duplicates.content[duplicates.find_conflicts()])):
        images = format_count(conflicts, "image has", "images have")
        advice.append(f"{images} several classes, so no model can be right on all copies; correct the labels.")
    advice += [*advise_on_near(facts), *advise_on_tracks(facts)]
    if "test" not in facts.counts:
        advice.append("There is no test subset; training holds a fifth of every class out, as with --test-share 0.2.")
    return advice


def advise_on_near(facts: Facts) -> list[str]:
    """Return advice on images of val and test that have near duplicates in train."""
    if facts.near is None:
        return []
    advice, pairs = [], facts.near.pairs.positions
    subsets = facts.duplicates.subset_index[pairs]
    for k, subset in enumerate(facts.duplicates.subsets):
        is_leak = (subsets == k) & (subsets[:, ::-1] == facts.duplicates.subsets.index("train"))
        if subset != "train" and (n := len(np.unique(pairs[is_leak]))):
            images = format_count(n, f"{subset} image has", f"{subset} images have")
            advice.append(f"{images} near duplicates in train; look at the pairs, and remove copies from one subset.")
    return advice


def advise_on_tracks(facts: Facts) -> list[str]:
    """Return advice on file names that look like frames of tracks."""
    found = facts.tracks
    if found is None:
        return []
    shared = [
        f"{format_count(n, 'track is', 'tracks are')} in both {subset} and train" for subset, n in found.shared.items()
    ]
    return [
        f"{found.share:.0%} of the images have names like frames of {found.tracks:,} tracks, such as {found.example}"
        f"{''.join(f'; {line}' for line in shared)}. Frames of a track on both sides of a split inflate accuracy: keep "
        f"each track together by `--group {shlex.quote(found.pattern)}`."
    ]


def advise_on_training(facts: Facts) -> list[str]:
    """Return the command for a known data set, or the reasons for the flags of those for custom data."""
    if facts.data in DEFAULT:
        return [
            f"`longtail train {facts.data}` uses the recipe {DEFAULT[facts.data]}, which is made for this data set."
        ]
    images, schedule, reasons = sum(facts.classes.counts), choose_schedule(facts), []
    batch = min(BATCH, largest_batch_size(images))
    steps = f"{schedule['epochs'] * max(images // batch, 1):,} steps of {batch} images"
    if (share := facts.headers.long_share) >= MANY_LONG:
        reasons.append(
            f"{share:.0%} of the images are longer than {LONG:g} : 1, and both ends of these are cut off; --fit pad or "
            "--fit squeeze shows them whole."
        )
    if facts.imbalance and facts.imbalance < 2:
        reasons.append("The classes are nearly balanced; --imbalance 100 draws a long-tailed training set from them.")
    reasons.append(f"From scratch, {schedule['epochs']} epochs are about {steps}.")
    if "size" in schedule:
        shorter = int(np.median(facts.headers.sides.min(1)))
        detail = " --size 96 or more keeps more detail; the cost grows with the square of the size." * (shorter > 96)
        reasons.append(
            f"From scratch, --size {schedule['size']} suits a median shorter side of {shorter} pixels.{detail}"
        )
    if choose_queue(facts):
        reasons.append(
            f"--queue is small because ECL's {QUEUE} keys would cover most of the {images:,} training images."
        )
    return reasons


def advise_on_testing(facts: Facts) -> list[str]:
    """Return the precision of accuracies on these test images, and the classes that are not measured."""
    if "test" not in facts.counts:
        return []
    advice, tested = [], facts.counts["test"]
    for group in GROUPS:
        sizes = [n for n, name in zip(tested, facts.classes.groups, strict=True) if name == group and n]
        if sizes:
            error, classes = compute_group_error(sizes), format_count(len(sizes), "class", "classes")
            advice.append(
                f"{group.capitalize()}-shot accuracy is measured on {sum(sizes):,} test images of {classes}. Its standard "
                f"error is at most {error:.1f} points, so two runs may differ by {2 * math.sqrt(2) * error:.1f} by chance."
            )
    if small := sum(0 < n < 10 for n in tested):
        classes = format_count(small, "class has", "classes have")
        advice.append(f"{classes} fewer than 10 test images, so class accuracy and worst-class accuracy are imprecise.")
    if missing := len(facts.find_empty_classes("test")):
        classes = format_count(missing, "class has", "classes have")
        advice.append(f"{classes} no test images and no accuracy (n/a).")
    return advice


def compute_group_error(tested: list[int]) -> float:
    """Compute the largest standard error of the mean accuracy of classes, in points, from their numbers of test images.

    An accuracy of one half has the largest error.
    """
    return 100 * math.sqrt(sum(0.25 / n for n in tested)) / len(tested)

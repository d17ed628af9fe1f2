"""The published long-tailed splits of CIFAR, proven without images, and the profiles."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longtail import LongtailError, data

# total, images of the last class, sha256 of the kept within-class ranks (little-endian int32, class by class): the splits
# of Cao et al. 2019 (LDAM-DRW), drawn from the official archives in their order
PUBLISHED = [
    (10, 10, 20431, 500, "0573a4c0bac922dec567a453eb1144c3ce430b8c8ee04b7cb563bd526561be53"),
    (10, 50, 13996, 100, "d7d316d044462dcf6e25e203248195adb4f8572120dd7ec2b13ce6aeb8848ecc"),
    (10, 100, 12406, 50, "d6c951e44243e61a3b6f98222c8fcf88d228e2d590df2fd091a73ce5254a002c"),
    (10, 200, 11203, 25, "55ed4883d7782fbe534a612243519b2f0a954b4e2ec4f01419fa106729d6ac80"),
    (100, 10, 19573, 50, "bfcd8e97aec64e16338a059058972c4d632c8157fcb86a1bfa97b169be0d0f7f"),
    (100, 50, 12608, 10, "057d5468420169431569d9cc4e9ef10419744a69d8c277226e45be21a5026284"),
    (100, 100, 10847, 5, "2f421d63fdc8f7e507409950d637829595540354b5e992c1463ffa6b986374e1"),
    (100, 200, 9502, 2, "ae3efc333edba80c25d67e8c15e93fd38836973c143c4332330bc2913bee3d47"),
]


@pytest.mark.parametrize("classes, imbalance, total, last, sha", PUBLISHED)
def test_the_eight_cifar_settings_have_the_published_counts_and_draw(classes, imbalance, total, last, sha):
    each = 50_000 // classes
    counts = data.exponential_counts(classes, each, imbalance)
    assert (sum(counts), counts[0], counts[-1]) == (total, each, last)
    labels = np.tile(np.arange(classes), each)  # any order of the classes; the position within the class is what counts
    ranks = np.asarray(data.long_tailed_indices(labels, counts)) // classes
    assert hashlib.sha256(ranks.astype("<i4").tobytes()).hexdigest() == sha


def test_cifar100_at_imbalance_100_has_35_many_35_medium_and_30_few():
    groups = [
        data.ClassTable(("",) * 100, tuple(data.exponential_counts(100, 500, 100))).groups.count(g)
        for g in ("many", "medium", "few")
    ]
    assert groups == [35, 35, 30]


def test_splits_of_larger_imbalance_are_subsets():
    labels = np.repeat(np.arange(10), 5000)
    kept = [set(data.long_tailed_indices(labels, data.exponential_counts(10, 5000, g))) for g in (10, 50, 100, 200)]
    assert kept[3] < kept[2] < kept[1] < kept[0]


def test_the_pareto_profile_resembles_imagenet_lt():
    counts = data.pareto_counts(1000, 1280, 256)
    assert counts[0] == 1280 and counts[-1] == 5
    assert counts == sorted(counts, reverse=True)
    assert abs(sum(counts) - 115_846) < 0.05 * 115_846  # the published draw


@given(st.integers(1, 200), st.integers(1, 5000), st.floats(1, 1000))
def test_profiles_fall_from_the_largest_by_the_imbalance(classes, largest, imbalance):
    for profile in (data.exponential_counts, data.pareto_counts):
        counts = profile(classes, largest, imbalance)
        assert len(counts) == classes and counts[0] == largest
        assert counts == sorted(counts, reverse=True)
        assert counts[-1] >= int(largest / imbalance) - 1


@pytest.mark.parametrize("classes", [2, 10, 100])
def test_an_imbalance_as_large_as_the_largest_class_leaves_the_last_an_image(classes):
    for largest in range(2, 1300):
        assert data.exponential_counts(classes, largest, largest)[-1] == 1


def test_the_draw_is_class_major_without_repeats_and_follows_the_seed():
    labels = np.array([1, 0, 1, 0, 1, 0, 2])
    kept = data.long_tailed_indices(labels, [2, 3, 1])
    assert labels[kept].tolist() == [0, 0, 1, 1, 1, 2]
    assert len(set(kept)) == len(kept)
    assert any(kept != data.long_tailed_indices(labels, [2, 3, 1], seed=s) for s in range(1, 9))


@pytest.mark.parametrize(
    "call", [lambda: data.exponential_counts(10, 100, 0.5), lambda: data.exponential_counts(0, 100, 10)]
)
def test_impossible_profiles_are_refused(call):
    with pytest.raises(LongtailError):
        call()


def test_a_pool_that_is_too_small_names_the_class():
    with pytest.raises(LongtailError, match="class '1' needs 3 training images but its pool has 2"):
        data.long_tailed_indices([0, 0, 0, 1, 1], [3, 3])

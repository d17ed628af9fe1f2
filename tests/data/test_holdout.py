"""Draws from a set: stratified, repeatable, and never taking a class's last image."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from longtail import LongtailError
from longtail.data import exponential_counts
from longtail.data.classes import natural_key
from longtail.data.holdout import cut_long_tail, stratified_holdout


@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.floats(0.01, 0.99))
def test_every_class_keeps_an_image_and_gives_its_share(labels, share):
    labels = torch.tensor(labels)
    kept, held = stratified_holdout(labels, share)
    assert sorted([*kept, *held]) == list(range(len(labels)))
    for label in labels.unique():
        n, out = int((labels == label).sum()), int((labels[held] == label).sum())
        assert out == (0 if n == 1 else min(max(round(share * n), 1), n - 1))
    assert all(np.array_equal(a, b) for a, b in zip(stratified_holdout(labels, share), (kept, held), strict=True))


@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.floats(1, 200))
def test_a_tail_is_the_largest_that_every_class_allows_from_the_most_images_to_the_fewest(pool, imbalance):
    order = np.argsort(-np.array(pool), kind="stable")
    labels = torch.tensor(np.repeat(np.arange(len(pool)), pool))
    try:
        kept = cut_long_tail(labels, list("abcdefgh"[: len(pool)]), imbalance)
    except LongtailError as error:  # of the largest tail that fits, the last class has nothing
        largest = int(str(error).rpartition(" ")[2])
        assert min(exponential_counts(len(pool), largest, imbalance)) == 0 and largest <= max(pool)
        return
    counts, ranked = np.bincount(labels[kept], minlength=len(pool))[order], np.array(pool)[order]
    largest = max(counts)
    assert counts.tolist() == exponential_counts(len(pool), largest, imbalance) and (counts <= ranked).all()
    assert largest == ranked[0] or (np.array(exponential_counts(len(pool), largest + 1, imbalance)) > ranked).any()


def test_a_class_without_images_forbids_a_tail():
    with pytest.raises(LongtailError, match="class 'b' has no training images"):
        cut_long_tail(torch.tensor([0, 0, 2]), ["a", "b", "c"], 10)


@given(st.text(max_size=8), st.text(max_size=8))
def test_natural_order_takes_any_text_and_knows_equals(a, b):
    assert (natural_key(a) < natural_key(b)) + (natural_key(a) > natural_key(b)) + (a == b) == 1


def test_natural_order_counts():
    assert sorted(["x10", "x9", "10", "9", "x", "x9b2"], key=natural_key) == ["9", "10", "x", "x9", "x9b2", "x10"]

"""CMO-RIDE: RIDE's losses on CMO's images, with both labels by their area."""

from dataclasses import replace

import pytest
import torch

from longtail.testing import build_method, enter_stage, make_batch, make_batches


@pytest.mark.parametrize("progress", [0.5, 0.9])
def test_without_patches_the_terms_are_those_of_ride_bit_for_bit(progress):
    mixed, plain = build_method("cmo_ride", probability=0.0), build_method("ride", experts=4)
    assert all(torch.equal(a, b) for a, b in zip(mixed.parameters(), plain.parameters(), strict=True))
    batch = replace(make_batch(mixed), progress=torch.tensor(progress))
    found, expected = mixed(batch, make_batch(mixed, 7)), plain(batch)
    assert found.keys() == expected.keys() and all(torch.equal(found[k], expected[k]) for k in found)


def test_both_labels_count_by_their_area(monkeypatch):
    method = build_method("cmo_ride", probability=1.0)
    values = iter([1.2, 2.0])
    monkeypatch.setattr(method, "compute_ldam", lambda z, y, early: torch.tensor(next(values), dtype=torch.float64))
    share = torch.tensor(0.75, dtype=torch.float64)
    monkeypatch.setattr("longtail.methods.cmo_ride.paste_patches", lambda x, *rest: (x, share))
    assert method(make_batch(method), make_batch(method, 1))["ldam"].item() == pytest.approx(1.4, rel=1e-12)


def test_the_diversity_does_not_depend_on_labels():
    method, found = build_method("cmo_ride", probability=1.0), []
    for label in (0, 3):
        torch.manual_seed(3)
        pair = [replace(make_batch(method, seed), y=torch.full((16,), label)) for seed in (0, 1)]
        found.append(method(*pair)["diversity"])
    assert torch.equal(*found)


def test_the_experts_see_patches_and_the_router_balanced_batches_as_in_ride():
    method = build_method("cmo_ride")
    experts, router = method.stages()
    assert experts.samplers == ("instance", "balanced") and router == build_method("ride").stages()[1]
    assert build_method("cmo_ride", patches="reversed").stages()[0].samplers == ("instance", "reversed")
    enter_stage(method, router)
    assert list(method(*make_batches(method, router))) == ["router"]

"""DRO-LT: centroids of every epoch, restored class frequencies, and which parts learn when."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from longtail.losses import robust_contrastive
from longtail.testing import build_method, enter_stage, make_batch


def test_centroids_are_class_means_of_all_batches_measured_before_every_epoch_of_the_second_stage():
    method = build_method("dro_lt", counts=(40, 20, 10, 5, 0)).eval()
    batches = [make_batch(method, seed) for seed in range(3)]
    batches[2].y[:] = 1
    pretrain, robust, _ = method.stages()
    method.begin_stage(pretrain, None)
    method.begin_epoch(iter(batches))
    assert not method.centroids.any()
    method.begin_stage(robust, None)
    with torch.no_grad():
        method.begin_epoch(iter(batches))
        v = torch.cat([method.features(b.views[0])[0] for b in batches])
    y = torch.cat([b.y for b in batches])
    for c in range(4):
        assert torch.allclose(method.centroids[c], v[y == c].mean(0), atol=1e-5)
    assert not method.centroids[4].any()


def test_on_balanced_batches_cross_entropy_is_weighted_back_to_the_class_frequencies():
    method = build_method("dro_lt", temperature=2.0)
    enter_stage(method, method.stages()[1])
    batch = make_batch(method)
    v, weight = method.encoders(batch.views[0])[0], torch.tensor([40.0, 20, 10, 5]) / 40
    terms = method(batch)
    ce = cross_entropy(method.cls(v[None])[0], batch.y, weight=weight)  # divided by the sum of the weights
    assert terms["ce"].item() == pytest.approx(ce.item(), rel=1e-4)
    robust = robust_contrastive(v, batch.y, method.centroids, torch.ones(4), 2.0)
    assert method.centroids.any() and terms["robust"].item() == pytest.approx(robust.item(), rel=1e-4)


def test_the_stages_train_the_network_then_features_and_radii_then_the_head():
    method = build_method("dro_lt")
    names = {id(p): name.split(".")[0] for name, p in method.named_parameters()}
    trained = [{names[id(p)] for p in enter_stage(method, stage)} for stage in method.stages()]
    assert trained == [{"encoders", "cls"}, {"encoders", "radii"}, {"cls"}]
    assert [stage.samplers[0] for stage in method.stages()] == ["instance", "balanced", "balanced"]

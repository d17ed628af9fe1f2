"""Copies of parquet files, keys of cached features, priors and labeling in details that no other test checks."""

# ruff: noqa: F811 - fixtures are imported

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from longtail import evaluate
from longtail.augment import get_transform_set
from longtail.data import load_split
from longtail.distributed import SINGLE_PROCESS
from longtail.features import extract
from longtail.features.extract import build_extractor
from longtail.inspection.labeling import read_pool
from longtail.methods.oltr import MetaEmbedding
from longtail.metrics import fit_bias_corrected, fit_temperature
from longtail.recipes import recipe_for
from longtail.testing import COUNTS, build_method, enter_stage, make_batch
from longtail.tracking import SilentReport
from longtail.unpack import unpack_training_images
from tests.features.test_frozen import extract_split, photos, settings, weights  # noqa: F401
from tests.test_unpack import build_recipe, folder  # noqa: F401


def cache_folder(photos, weights, sha="a" * 64, **changes):
    recipe = recipe_for(photos, method="bc", net="resnet8", frozen=True, size=32, weights=str(weights), **changes)
    about = {"source": "here", "sha256": sha, "license": None}
    found = build_extractor(recipe, about, recipe.build_net().build_trunk(), SINGLE_PROCESS, SilentReport(), None)
    return found, found.build_cache(2).folder


def test_features_of_another_encoder_or_transform_are_cached_apart(photos, weights):
    extractor, first = cache_folder(photos, weights)
    assert cache_folder(photos, weights)[1] == first
    assert cache_folder(photos, weights, sha="b" * 64)[1] != first
    assert cache_folder(photos, weights, precision="bf16")[1] != first
    for field in ("mean", "std"):
        extractor.transform_set = replace(extractor.transform_set, **{field: [0.1, 0.2, 0.3]})
        other = extractor.build_cache(2).folder
        assert other != first
        first = other


def test_each_image_is_cropped_by_a_seed_of_its_own(photos, settings, monkeypatch):
    build, seeds = extract.build_ordered_job, []
    monkeypatch.setattr(extract, "build_ordered_job", lambda i, r, s: seeds.extend(s) or build(i, r, s))
    split = extract_split(photos, settings, frozen_views=4)
    assert len(set(seeds)) == len(split.train) + len(split.test)


def test_flip_tta_is_the_mean_of_the_image_and_its_mirror_image():
    method, split = build_method("bc", counts=(1,) * 10), load_split("digits-lt", 50.0)
    found = evaluate.predict_subset(method, split.test, get_transform_set("digits"))
    x = get_transform_set("digits").build_normalize("cpu")(split.test.images[:20])
    with torch.no_grad():
        method.eval()
        wanted = (method.logits(x) + method.logits(x.flip(-1))) / 2
    assert torch.allclose(found.flip[:, :20], wanted, atol=1e-4)


def test_each_pass_over_the_test_images_has_an_order_of_its_own():
    method, images, seen = build_method("sade", aggregate=True), load_split("digits-lt", 50.0).test, []
    method.adapt = lambda batches: seen.extend(next(batches(epoch))[0] for epoch in (1, 2, 1)) or {}
    evaluate.adapt_to_test_images(method, images, get_transform_set("digits"), 0)
    assert torch.equal(seen[0], seen[2]) and not torch.equal(seen[0], seen[1])


def test_a_copy_holds_the_right_image_for_rows_in_any_order(folder, tmp_path):
    split = build_recipe(folder).load_split(workers=0)
    order = np.random.default_rng(0).permutation(len(split.train))
    split = replace(split, train=split.train.take(order))
    copied = unpack_training_images(split, tmp_path / "cache", SilentReport(), SINGLE_PROCESS)
    assert all(copied.train.index.source(i) == split.train.index.source(i) for i in range(len(order)))


def test_the_pool_of_label_is_judged_under_a_uniform_prior_on_unit_features(tmp_path):
    from PIL import Image

    method = build_method("ce", experts=2).eval()
    pixels = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8)
    for i, x in enumerate(pixels):
        Image.fromarray(x.permute(1, 2, 0).numpy()).save(tmp_path / f"{i}.png")
    views = get_transform_set("digits")
    pool = read_pool([str(tmp_path / f"{i}.png") for i in range(3)], method, views, [])
    with torch.no_grad():
        x = views.build_normalize("cpu")(pixels)
        wanted = (method.logits(x).mean(0) - method.log_prior).softmax(-1)
    assert torch.allclose(pool.probabilities, wanted, atol=1e-5)
    assert torch.allclose(pool.features.float().unflatten(1, (2, -1)).norm(dim=-1), torch.ones(3, 2), atol=1e-2)


def test_disalign_divides_by_the_sum_of_its_weights():
    method = build_method("disalign")
    enter_stage(method, method.stages()[1])
    batch = replace(make_batch(method), y=torch.tensor([0] * 12 + [1, 2, 3, 3]))
    p = method.logits(batch.views[0])[0].softmax(-1)
    w = torch.tensor([COUNTS[y] ** -1.2 for y in batch.y])
    wanted = -(w * p[torch.arange(16), batch.y].log()).sum() / w.sum()
    assert method(batch)["aligned"].item() == pytest.approx(wanted.item(), rel=1e-4)


def test_oltr_sends_no_gradient_through_its_confidence():
    head = MetaEmbedding(1, 3, 2, reach=10.0, scale=16.0).double()
    head.filled.fill_(True)
    with torch.no_grad():
        head.centroids.normal_()
    v = torch.randn(1, 4, 3, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(head(v).sum(), v)
    near = torch.cdist(v[0].detach(), head.centroids.detach()).amin(-1).view(1, -1, 1)
    m = head.centroids.detach()
    x = 10 / near * (v + head.selector(v).tanh() * (head.hallucinator(v).softmax(-1) @ m))
    x = x / (1 + x.norm(dim=-1, keepdim=True))
    wanted = torch.autograd.grad((16 * x @ F.normalize(head.weight, dim=-1).transpose(1, 2)).sum(), v)[0]
    assert torch.allclose(found, wanted)


def test_priors_for_the_temperature_count_every_image():
    z, y = 20 * torch.eye(3, dtype=torch.float64), torch.arange(3)
    t = fit_temperature(z, y, torch.zeros(3))
    loss = lambda s: F.cross_entropy(z / s, y, reduction="sum") + s.log() ** 2 / 2  # noqa: E731
    assert all(loss(torch.tensor(t)) < loss(torch.tensor(t * k)) for k in (0.97, 1.03))
    z, y = torch.zeros(4, 3, dtype=torch.float64), torch.tensor([0, 0, 0, 1])
    _, b = fit_bias_corrected(z, y, torch.zeros(3))
    gradient = 4 * b.softmax(0) - torch.tensor([3.0, 1.0, 0.0]) + b  # 0 at the maximum of the posterior
    assert gradient.abs().max() < 1e-4

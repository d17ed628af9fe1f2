"""The bag of tricks with CAM-based sampling."""

from dataclasses import replace

import pytest
import torch

from longtail import LongtailError, nets
from longtail.losses import cross_entropy
from longtail.methods.cam import CAM
from longtail.testing import build_method, enter_stage, make_batch, train_steps


def begin(stage: int, **options) -> CAM:
    """Build the method at the beginning of a stage, with some training before."""
    method = build_method("cam", **options)
    earlier, whole = method.stages()[:stage], method.stages
    method.stages = lambda: earlier
    train_steps(method, 2)
    method.stages = whole
    enter_stage(method, method.stages()[stage])
    return method


def test_an_image_is_a_made_one_with_the_probability_of_its_class():
    share = CAM((500, 100, 5), nets.Net("conv4")).share_made
    assert share.tolist() == pytest.approx([0.009900990099009901, 0.801980198019802, 0.9900990099009901])


def test_the_stages_are_mixup_then_moved_objects_then_balanced_batches_at_a_hundredth_of_the_rate():
    stages = build_method("cam").stages()
    assert [s.samplers for s in stages] == [("instance",), ("balanced",), ("balanced",)]
    assert [s.lr_scale for s in stages] == [1, 0.01, 0.01]
    assert [round(220 * s.share) for s in stages] == [160, 40, 20]


def test_the_eye_is_the_network_of_the_first_stage_and_stays_it():
    method = begin(1)
    x = make_batch(method).views[0]
    expected = method.eval().logits(x)
    assert torch.equal(method.eye(x), expected)
    with torch.no_grad():
        method.cls.bias.add_(1)
    enter_stage(method, method.stages()[2])
    assert torch.equal(method.eye(x), expected)


def test_the_objects_are_found_by_the_map_of_the_label():
    method, seen = begin(1), []
    x, y = make_batch(method).views[0], make_batch(method).y
    maps, weight = method.eye.copy[0].experts[0].maps(x), method.eye.copy[1].weight[0]
    for i in range(4):
        cam = sum(weight[y[i], c] * maps[i, c] for c in range(64))
        cam = (cam - cam.min()) / (cam.max() - cam.min())
        cam = torch.nn.functional.interpolate(cam[None, None], (8, 8), mode="bilinear")
        seen.append(cam[0] >= 0.75 * cam.mean())
    torch.manual_seed(1)
    found = method.make_images(x, y)
    outside = ~torch.stack(seen).expand(4, 3, 8, 8)
    changed = found[:4] != x[:4]
    assert changed.any() and found.shape == x.shape
    # a pixel that is no foreground changes only where the foreground arrives, so most of the others stay
    assert (changed & outside).float().mean() < changed.float().mean()


def test_made_images_enter_the_loss_only_in_the_second_stage(monkeypatch):
    for stage, expected in ((0, 0), (1, 1), (2, 0)):
        method, calls = begin(stage), []
        make = method.make_images
        monkeypatch.setattr(method, "make_images", lambda x, y, make=make, calls=calls: calls.append(1) or make(x, y))
        method(make_batch(method))
        assert len(calls) == expected


def test_the_last_stage_is_plain_cross_entropy_and_alpha_0_switches_mixup_off():
    for method in (begin(2), begin(0, alpha=0.0)):
        batch = make_batch(method)
        assert torch.equal(method(batch)["ce"], cross_entropy(method.logits(batch.views[0]), batch.y).mean())


def test_the_largest_class_keeps_its_images_and_the_others_are_moved_by_their_share(monkeypatch):
    method, kept = begin(1, alpha=0.0), []
    monkeypatch.setattr(method, "make_images", lambda x, y: x + 100)
    logits = method.logits
    monkeypatch.setattr(method, "logits", lambda x: kept.append(x) or logits(x))
    for c in (0, 3):
        method(replace(make_batch(method), y=torch.full((16,), c)))
    made = [(x.mean((1, 2, 3)) > 50).float().mean().item() for x in kept]
    assert made[0] < 0.4 and made[1] > 0.6  # 1 / 9 and 8 / 9


def test_a_network_whose_features_are_no_mean_over_pixels_is_refused_before_training():
    with pytest.raises(LongtailError, match=r"cam needs a network .* those of mobilenetv3_small_050 are not"):
        CAM((4, 3, 2), nets.Net("mobilenetv3_small_050", size=64))
    with pytest.raises(LongtailError, match="no features for each pixel"):
        CAM((4, 3, 2), nets.Net("test_vit"))
    CAM((4, 3, 2), nets.Net("conv4", half=True))

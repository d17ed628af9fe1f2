"""Options of methods, samplers, calibration and export in numbers that no other test checks."""

import pytest
import torch
from torch.nn import functional as F

from longtail import losses
from longtail.data import samplers
from longtail.inference.calibration import Calibration, CalibrationOptions, Priors
from longtail.inference.decisions import Decider, DecisionOptions, estimate_log_target
from longtail.inference.export import ExportedModel
from longtail.inference.thresholds import Thresholds, describe_promise
from longtail.stages import build_parameter_groups
from longtail.testing import build_method, enter_stage, make_batch
from tests.methods.test_ecl import COUNTS, batch, make

P = torch.tensor(COUNTS) / sum(COUNTS)


@pytest.mark.parametrize("kd_on", ["raw", "balanced"])
@pytest.mark.parametrize("detach", [True, False])
def test_every_option_of_ecl_enters_its_equations(kd_on, detach):
    options = {"alpha": 0.3, "beta": 0.5, "tau": 0.7, "kd_temperature": 2.0, "kd_on": kd_on, "detach": detach}
    method, data = make(**options), batch()
    terms = method(data)
    v = method.encoders(data.views[0])
    z, r, y = method.cls(v), method.ref(v), data.y
    assert terms["bc"].item() == pytest.approx(
        sum(F.cross_entropy(k + 0.7 * P.log(), y) for k in z).item() / 3, rel=1e-5
    )
    w = losses.transfer_weight(z, r, y)
    u = z if kd_on == "raw" else z + 0.7 * P.log()

    def kl(outs, weight):
        total = 0.0
        for k in range(3):
            for q in range(3):
                if q != k:
                    teacher = (outs[q].detach() if detach else outs[q]) / 2
                    each = 4 * (teacher.softmax(1) * (teacher.log_softmax(1) - (outs[k] / 2).log_softmax(1))).sum(1)
                    total = total + 0.3 * (weight[k] * each).mean() / 6
        return total

    expected = kl(u, w)
    assert terms["logit"].item() == pytest.approx(expected.item(), rel=1e-4)
    assert terms["feature"].item() == pytest.approx(kl(v, torch.ones(3, 8)).item(), rel=1e-4)
    (found,) = torch.autograd.grad(terms["logit"], method.cls.bias, retain_graph=True)
    (wanted,) = torch.autograd.grad(expected, method.cls.bias, retain_graph=True)
    assert torch.allclose(found, wanted, rtol=1e-3, atol=1e-6)
    assert terms["contrast"].item() == pytest.approx(0.5 * make(**options | {"beta": 1.0})(data)["contrast"].item())
    assert torch.allclose(method.assumed_log_prior(), 0.3 * P.log(), atol=1e-6)


def test_the_mean_logits_of_ride_get_no_gradient():
    z = torch.randn(3, 4, 5, requires_grad=True)
    (g,) = torch.autograd.grad(losses.divergence_from_mean(z, torch.rand(5) + 1)[0].sum(), z)
    assert g[0].abs().sum() > 0 and not g[1:].any()


def test_the_focal_factor_is_differentiated():
    z = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    y = torch.arange(6) % 4
    p = z.softmax(1)[torch.arange(6), y]
    (wanted,) = torch.autograd.grad((-((1 - p) ** 2) * p.log()).sum(), z, retain_graph=True)
    (found,) = torch.autograd.grad(losses.focal_loss(z, y, 2.0).sum(), z)
    assert torch.allclose(found, wanted)


def test_the_reference_loss_has_a_floor_of_a_thousandth():
    sure = F.one_hot(torch.tensor([0]), 1000).float().unsqueeze(0)
    w = losses.transfer_weight(-sure, sure, torch.tensor([0]))
    cls = F.cross_entropy(-sure[0] / sure[0].std(), torch.tensor([0]))
    assert w.item() == pytest.approx(cls.item() / 1e-3, rel=1e-4)


def test_effective_numbers_follow_their_formula(monkeypatch):
    monkeypatch.setattr(samplers, "draw_by_class_weight", lambda weight, labels, generator: weight)
    counts = (50_000, 5_000, 5)
    found = samplers.effective_number(torch.zeros(1), counts, torch.Generator())
    for n, weight in zip(counts, found.tolist(), strict=True):
        beta = 0.9999 + 1e-5 * (torch.tensor(50_000 / n).log() / torch.tensor(10_000.0).log()).item()
        assert weight == pytest.approx((1 - beta) / (1 - beta**n), rel=1e-3)


def test_cam_finds_objects_of_the_label(monkeypatch):
    method = build_method("cam")
    enter_stage(method, method.stages()[1])
    seen = []
    monkeypatch.setattr(
        "longtail.methods.cam.find_foreground",
        lambda maps, w, size, keep: seen.append(w) or torch.ones(16, 1, 8, 8, dtype=torch.bool),
    )
    batch = make_batch(method)
    method.make_images(batch.views[0], batch.y)
    assert all(torch.equal(w, method.eye.copy[1].weight[0][y]) for w, y in zip(seen[0], batch.y, strict=True))


@pytest.mark.parametrize("name", ["cam", "mixup", "mislas"])
def test_mixed_labels_weigh_as_their_images_do(name, monkeypatch):
    module = __import__(f"longtail.methods.{name}", fromlist=["x"])
    method = build_method(name)
    enter_stage(method, method.stages()[0])
    data = make_batch(method)
    other = data.y.flip(0)
    monkeypatch.setattr(module, "mixup", lambda x, y, alpha: (x, other, torch.tensor(0.9)))
    z = method.logits(data.views[0])[0]
    wanted = 0.9 * F.cross_entropy(z, data.y) + 0.1 * F.cross_entropy(z, other)
    assert sum(method(data).values()).item() == pytest.approx(wanted.item(), rel=1e-4)


def test_balanced_cmo_adds_the_prior():
    method = build_method("cmo", tau=1.0, probability=0.0)
    a = make_batch(method)
    z = method.logits(a.views[0])[0] + method.log_prior
    assert method(a, make_batch(method, 7))["cutmix"].item() == pytest.approx(F.cross_entropy(z, a.y).item(), rel=1e-5)


def test_mislas_trains_its_head_at_its_own_rate():
    method = build_method("mislas", head_lr=0.2)
    factor, head = build_parameter_groups(method, method.stages()[1], 1.0)
    assert list(factor["params"]) == [method.scale.factor] and factor.get("lr_scale", 1.0) == 1.0
    assert set(head["params"]) == set(method.cls.parameters()) and head["lr_scale"] == 0.2


def test_an_exported_model_moves_from_the_prior_it_assumes():
    method = build_method("ce").eval()
    model = ExportedModel(method, [0.5] * 3, [0.25] * 3, None)
    images, target = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8), torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    with torch.no_grad():
        z = method.logits((images / 255 - 0.5) / 0.25).mean(0)
        found = model(images, target)[1]
    assert torch.allclose(found, (z - method.log_prior + target).softmax(-1), atol=1e-5)
    assert torch.allclose(model(images, method.log_prior)[1], z.softmax(-1), atol=1e-5)


def made_up(evidence=(), bias=(0.0, 0.0, 0.0), bias_temperature=1.0):
    values = Thresholds([1.0] * 3, [5] * 3, ["all"] * 3)
    return Calibration(CalibrationOptions(by="all"), values, 2.0, bias_temperature, list(bias), list(evidence), {}, {})


PRIORS = Priors(torch.tensor([0.6, 0.3, 0.1]).double().log(), torch.tensor([0.6, 0.3, 0.1]).double().log())


def test_the_threshold_of_unknown_images_is_the_score_of_the_right_rank():
    found = made_up(evidence=[float(i) for i in range(1, 20)])  # 19 images: rank of 0.1 is 2
    for value, expected in ((1.5, True), (2.0, False), (2.5, False)):
        logits = torch.full((1, 3), -50.0).double()
        logits[0, 2] = value + PRIORS.assumed[2]
        assert found.unknown(logits, PRIORS, 0.1).tolist() == [expected], value


def test_an_estimated_prior_is_corrected_by_the_bias_and_sets_are_ordered():
    method = build_method("ce", counts=(6, 3, 1))
    decider = Decider(
        made_up(bias=(1.0, 0.0, -1.0), bias_temperature=4.0),
        DecisionOptions(),
        method,
        ("a", "b", "c"),
        None,
        torch.zeros(3),
        True,
    )
    z = torch.randn(5, 3)
    wanted = z / 4 + torch.tensor([1.0, 0.0, -1.0]) - method.log_prior
    assert torch.allclose(decider.adjust(z).log_softmax(-1), wanted.log_softmax(-1), atol=1e-5)
    names = decider.name_members(torch.tensor([True, False, True]), torch.tensor([0.5, 0.1, 0.2]))
    assert names == ("c", "a")


def test_the_estimate_of_a_prior_uses_the_bias():
    method = build_method("bc", counts=(6, 3, 1))
    g = torch.Generator().manual_seed(0)
    target = torch.tensor([0.2, 0.3, 0.5])
    y = torch.multinomial(target, 4000, replacement=True, generator=g)
    clean = torch.randn(4000, 3, generator=g) + 3 * F.one_hot(y, 3)
    likelihood = 3 * clean  # log p(x | y) up to a constant
    bias = torch.tensor([1.5, 0.0, -1.5])
    found = made_up(bias=bias.tolist(), bias_temperature=2.0)
    log, n = estimate_log_target(found, method, [2 * (likelihood - bias)])
    assert n == 4000 and torch.allclose(log.exp(), target, atol=0.03)


def test_thresholds_by_group_come_from_the_labels_of_the_group():
    from longtail.data import ClassTable

    table = ClassTable(("a", "b", "c"), (200, 50, 5))
    labels = torch.arange(60) % 3
    scores = labels.double() * 10 + torch.rand(60).double()
    found = Thresholds.fit(scores, labels, table, 0.9, "group", "lac", 0.9)
    for c, value in enumerate(found.values):
        assert value == scores[labels == c].sort().values[19 - 1].item()  # ceil(21 * 0.9)


def test_interpolated_thresholds_promise_one_minus_twice_the_error():
    assert describe_promise("interpolated", "few", 0.9) == "at least 80 % of all images together"

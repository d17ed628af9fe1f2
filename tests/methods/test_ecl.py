"""ECL has the size of the paper, equals its equations in naive loops, and has its ablations and its state."""

import pytest
import torch
from torch.nn import functional as F

from longtail import LongtailError, nets
from longtail.data import Batch, exponential_counts
from longtail.methods import check_options, get_options
from longtail.methods.bc import BalancedClassifier
from longtail.methods.ecl import ECL

COUNTS = (60, 25, 10, 5)


def make(**options) -> ECL:
    torch.manual_seed(0)
    return ECL(COUNTS, nets.Net("conv4"), **options)


def batch(n: int = 8) -> Batch:
    g = torch.Generator().manual_seed(1)
    views = [torch.randn(n, 3, 8, 8, generator=g) for _ in range(2)]
    return Batch(views, torch.arange(n) % 4, torch.arange(n), torch.tensor(0.0))


def test_parameters_at_100_classes_and_three_experts_are_those_of_the_paper():
    method = ECL(exponential_counts(100, 500, 100), nets.Net("resnet32"))
    assert sum(p.numel() for p in method.parameters() if p.requires_grad) == 1_454_472
    kept = set(method.inference_state())
    inference = sum(p.numel() for n, p in method.named_parameters() if n in kept)
    assert inference == 1_410_012 and inference // 3 == 470_004


def compute_naively(
    method: ECL,
    data: Batch,
    *,
    alpha=0.6,
    beta=1.0,
    tau=1.0,
    kd_temperature=1.0,
    kd_on="raw",
    detach=True,
    temperature=0.2,
    contrast="mean",
) -> dict[str, torch.Tensor]:
    """Compute Eq. 3-9 expert by expert, without the package's losses."""
    k_experts, (a, b), y = 3, data.views, data.y
    prior = torch.tensor(COUNTS) / sum(COUNTS)
    vs = [e(a) for e in method.encoders.experts]
    zs = [v @ w.T + b_ for v, w, b_ in zip(vs, method.cls.weight, method.cls.bias, strict=True)]
    rs = [v @ w.T + b_ for v, w, b_ in zip(vs, method.ref.weight, method.ref.bias, strict=True)]
    us = [z + tau * prior.log() * (kd_on == "balanced") for z in zs]
    out = dict.fromkeys(("bc", "bc_ref", "logit", "feature", "contrast"), 0.0)
    for k in range(k_experts):
        out["bc"] += F.cross_entropy(zs[k] + tau * prior.log(), y) / 3
        out["bc_ref"] += F.cross_entropy(rs[k] + tau * prior.log(), y) / 3
        with torch.no_grad():
            sure = [F.cross_entropy(h / h.std(1, keepdim=True), y, reduction="none") for h in (zs[k], rs[k])]
            w = sure[0] / sure[1]
        for q in range(k_experts):
            if q != k:
                for name, outs, weight in (("logit", us, w), ("feature", vs, 1.0)):
                    student, teacher = (outs[i] / kd_temperature for i in (k, q))
                    p = (teacher.detach() if detach else teacher).softmax(1)
                    kl = (p * (p.log() - student.log_softmax(1))).sum(1)
                    out[name] += alpha * kd_temperature**2 * (weight * kl).mean() / 6
        first, second = method.projector[0], method.projector[2]
        hidden = (vs[k] @ first.weight[k].T + first.bias[k]).relu()
        query = F.normalize(hidden @ second.weight[k].T + second.bias[k], dim=1)
        with torch.no_grad():
            experts, projector = method.key.copy
            kv = experts.experts[k](b)
            first, second = projector[0], projector[2]
            kh = (kv @ first.weight[k].T + first.bias[k]).relu()
            key = F.normalize(kh @ second.weight[k].T + second.bias[k], dim=1)
        scores = torch.cat([(query * key).sum(1, keepdim=True), query @ method.queue.keys[k].T], 1) / temperature
        out["contrast"] += (
            F.cross_entropy(scores, torch.zeros(len(y), dtype=torch.long)) * beta / (3 if contrast == "mean" else 1)
        )
    return out


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"alpha": 0.3, "beta": 0.5, "temperature": 0.1},
        {"tau": 0.7, "kd_temperature": 2.0, "detach": False},
        {"tau": 1.5, "kd_on": "balanced", "contrast": "sum"},
    ],
)
def test_the_loss_and_its_gradient_equal_the_equations_in_naive_loops(options):
    method, data = make(**options), batch()
    terms = method(data)
    sum(terms.values()).backward()
    gradients = {n: p.grad.clone() for n, p in method.named_parameters() if p.grad is not None}
    method.zero_grad()
    expected = compute_naively(make(**options), data, **options)
    assert list(terms) == list(expected)
    for name in terms:
        assert terms[name].item() == pytest.approx(expected[name].item(), rel=1e-4, abs=1e-6), name
    again = make(**options)
    sum(compute_naively(again, data, **options).values()).backward()
    for name, parameter in again.named_parameters():
        if parameter.requires_grad:
            assert torch.allclose(gradients[name], parameter.grad, rtol=1e-3, atol=1e-5), name


def test_logits_assume_the_part_of_the_prior_that_training_did_not_add():
    method = make(tau=0.7)
    assert torch.allclose(method.assumed_log_prior(), 0.3 * (torch.tensor(COUNTS) / sum(COUNTS)).log())


TABLE_III = {
    "none": ({"bkt": False, "fld": False, "cpt": False}, {"bc"}),
    "BKT": ({"fld": False, "cpt": False}, {"bc", "bc_ref", "logit"}),
    "FLD": ({"bkt": False, "cpt": False}, {"bc", "feature"}),
    "CPT": ({"bkt": False, "fld": False}, {"bc", "contrast"}),
    "BKT+CPT": ({"fld": False}, {"bc", "bc_ref", "logit", "contrast"}),
    "FLD+CPT": ({"bkt": False}, {"bc", "feature", "contrast"}),
    "all": ({}, {"bc", "bc_ref", "logit", "feature", "contrast"}),
    "BKT, w = 1": ({"reweight": False, "fld": False, "cpt": False}, {"bc", "bc_ref", "logit"}),
    "vanilla logit distillation": ({"ref": False, "fld": False, "cpt": False}, {"bc", "logit"}),
}


@pytest.mark.parametrize("row", TABLE_III)
def test_every_row_of_table_three_has_its_terms_and_no_parameter_without_gradient(row):
    options, terms = TABLE_III[row]
    method = make(**options)
    computed = method(batch())
    assert set(computed) == terms
    sum(computed.values()).backward()
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)
    method.after_step()


def test_all_off_equals_independent_balanced_classifiers():
    plain = make(bkt=False, fld=False, cpt=False)
    torch.manual_seed(0)
    bc = BalancedClassifier(COUNTS, nets.Net("conv4"), experts=3)
    assert torch.equal(plain(batch())["bc"], bc(batch())["bc"])


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"experts": 1}])
def test_ecl_with_alpha_zero_or_one_expert_is_the_cpt_row(options):
    method, row = make(**options), make(bkt=False, fld=False, **({"experts": 1} if "experts" in options else {}))
    terms, expected = method(batch()), row(batch())
    assert terms.keys() == expected.keys() == {"bc", "contrast"}
    assert all(torch.equal(terms[name], expected[name]) for name in terms)
    assert not make(beta=0.0)(batch()).keys() & {"contrast"}


def test_after_a_step_the_key_networks_follow_and_the_queue_holds_the_new_keys():
    method, data = make(queue=20), batch()
    before = method.queue.keys.clone()
    sum(method(data).values()).backward()
    assert torch.equal(method.queue.keys, before)  # negatives are read before the new keys are pushed
    with torch.no_grad():
        for p in [*method.encoders.parameters(), *method.projector.parameters()]:
            p.add_(1.0)
    old = [p.clone() for p in method.key.parameters()]
    ((new_keys,),) = method.queue.held
    method.after_step()
    assert torch.equal(method.queue.keys[:, :8], new_keys) and torch.equal(method.queue.keys[:, 8:], before[:, 8:])
    sources = [*method.encoders.parameters(), *method.projector.parameters()]
    moved = [
        torch.allclose(n, 0.999 * o + 0.001 * s, atol=1e-6)
        for n, o, s in zip(method.key.parameters(), old, sources, strict=True)
    ]
    assert all(moved)
    assert torch.allclose(new_keys.norm(dim=-1), torch.ones(3, 8))


def test_summing_the_contrast_over_experts_is_three_times_its_mean():
    assert make(contrast="sum")(batch())["contrast"].item() == pytest.approx(3 * make()(batch())["contrast"].item())


def test_distilling_balanced_logits_changes_the_loss_and_detaching_changes_only_gradients():
    raw, balanced = make()(batch())["logit"], make(kd_on="balanced")(batch())["logit"]
    assert raw.item() != pytest.approx(balanced.item(), rel=1e-3)
    assert make(detach=False)(batch())["logit"].item() == pytest.approx(raw.item())


def test_a_queue_longer_than_the_training_set_is_cut_with_a_note():
    method = make(queue=1024)
    assert method.queue.keys.shape[1] == sum(COUNTS) and "1024" in method.notes[0]
    assert not make(queue=64).notes


def test_head_cosine_gives_both_heads_whose_logits_are_bounded_by_the_scale():
    method = make(head="cosine", scale=16.0)
    assert isinstance(method.cls, nets.CosineHeads) and isinstance(method.ref, nets.CosineHeads)
    z = method.logits(batch().views[0])
    assert 1 < z.abs().max() <= 16
    assert set(method(batch())) == set(make()(batch()))


BAD = {"experts": 0, "queue": 0, "alpha": -1.0, "temperature": 0.0, "key_momentum": 1.5, "tau": -1.0, "kd_on": "cooked"}


@pytest.mark.parametrize("option", BAD)
def test_options_out_of_range_are_refused(option):
    with pytest.raises(LongtailError, match=option):
        check_options("ecl", get_options("ecl"), {option: BAD[option]})

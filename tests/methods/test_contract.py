"""What every method keeps."""

import importlib
import re
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from longtail import methods, nets
from longtail.data import Batch

COUNTS = (40, 20, 10, 5)


def batch_for(method: methods.Method, seed: int = 0) -> Batch:
    """Sixteen 8 x 8 images whose class shows in their brightness."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(16) % len(COUNTS)
    views = [torch.randn(16, 3, 8, 8, generator=g) * 0.3 + y.view(-1, 1, 1, 1) - 1.5 for _ in method.views]
    return Batch(views, y, torch.arange(16), torch.tensor(0.5))


def build(name: str, seed: int = 0, **options) -> methods.Method:
    torch.manual_seed(seed)
    return methods.method_class(name)(COUNTS, nets.Net("conv4"), **options)


def steps(method: methods.Method, n: int) -> list[float]:
    """Total loss of n steps of SGD."""
    optimiser, losses = torch.optim.SGD([p for p in method.parameters() if p.requires_grad], 0.05, 0.9), []
    for step in range(n):
        total = sum(method(batch_for(method, step)).values())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        method.after_step()
        losses.append(total.item())
    return losses


every_method = pytest.mark.parametrize("name", methods.METHODS)


@every_method
def test_terms_are_finite_scalars_and_every_trained_parameter_gets_a_gradient(name):
    method = build(name)
    terms = method(batch_for(method))
    assert terms and all(t.shape == () and t.isfinite() for t in terms.values())
    sum(terms.values()).backward()
    missing = [
        n for n, p in method.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.isfinite().all())
    ]
    assert not missing


@every_method
def test_logits_and_features_have_the_expert_axis_in_front(name):
    method = build(name).eval()
    x = torch.randn(6, 3, 8, 8)
    z, v = method.logits(x), method.features(x)
    assert z.shape[-2:] == (6, len(COUNTS)) and z.dim() in (2, 3)
    assert v.shape[-2] == 6 and v.shape[:-2] == z.shape[:-2]


@every_method
def test_it_learns_an_easy_task_and_the_same_seed_gives_the_same_losses(name):
    method = build(name)
    losses = steps(method, 40)
    assert losses == steps(build(name), 40)
    assert losses != steps(build(name, seed=1), 40)
    method.eval()
    test = batch_for(method, 999)
    z = method.logits(test.views[0])
    z = z.mean(0) if z.dim() == 3 else z
    assert (z.argmax(-1) == test.y).float().mean() > 0.6  # chance is .25
    assert cross_entropy(z, test.y) < 1.38


@every_method
def test_state_makes_a_round_trip_and_training_goes_on_equally(name):
    first = build(name)
    steps(first, 3)
    second = build(name, seed=5)
    second.load_state_dict(first.state_dict())
    assert steps(first, 3) == steps(second, 3)


@every_method
def test_the_inference_state_is_all_that_logits_need(name):
    trained = build(name)
    steps(trained, 3)
    fresh = build(name, seed=5)
    kept = trained.inference_state()
    assert kept and not fresh.load_state_dict(kept, strict=False).unexpected_keys
    x = torch.randn(6, 3, 8, 8)
    assert torch.equal(trained.eval().logits(x), fresh.eval().logits(x))


@every_method
def test_options_are_annotated_with_a_type_a_default_and_help(name):
    kind = methods.method_class(name)
    for option in methods.options_of(kind).values():
        assert option.help and option.default is not option.type
    methods.check_options(name, kind, {o.name: o.default for o in methods.options_of(kind).values()})


@every_method
def test_a_class_without_training_images_keeps_everything_finite(name):
    torch.manual_seed(0)
    method = methods.method_class(name)((40, 0, 10, 5), nets.Net("conv4"))
    assert method.log_prior.isfinite().all()
    assert all(t.isfinite() for t in method(batch_for(method)).values())


@every_method
def test_views_exist_in_every_family(name):
    from longtail.augment import FAMILIES

    for family in FAMILIES.values():
        assert set(methods.method_class(name).views) <= set(family.views)


def test_the_method_in_ten_lines_of_contributing_works_as_printed(tmp_path, monkeypatch):
    page = (Path(__file__).resolve().parents[2] / "CONTRIBUTING.md").read_text()
    code, line = re.findall(r"```python\n(.*?)```", page, re.S)
    (tmp_path / "focal_example.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    focal = importlib.import_module("focal_example").Focal
    assert isinstance(eval(line.partition(":")[2].strip().rstrip(","), {"Entry": methods.Entry}), methods.Entry)
    method = focal(COUNTS, nets.Net("conv4"), gamma=1.0)
    assert methods.options_of(focal)["gamma"].default == 2.0
    losses = steps(method, 20)
    assert losses[-1] < losses[0]
    plain = focal(COUNTS, nets.Net("conv4"), gamma=0.0)
    z = plain.logits(batch_for(plain).views[0])[0]
    assert plain(batch_for(plain))["focal"].item() == pytest.approx(cross_entropy(z, batch_for(plain).y).item())

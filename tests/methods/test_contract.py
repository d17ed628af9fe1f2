"""What every method keeps, in each of its stages."""

import importlib
import inspect
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode

from longtail import cli, methods, nets
from longtail.api import train as train_model
from longtail.console import Silent
from longtail.data import Batch, ClassTable, Images, Split
from longtail.evaluate import load_method
from longtail.plan import plan
from longtail.recipe import Recipe
from longtail.recipes import recipe_for
from longtail.runs import RunFolder
from longtail.train import train
from tests.dying import KillAt, Killed

COUNTS = (40, 20, 10, 5)


def batch_for(method: methods.Method, seed: int = 0) -> Batch:
    """Sixteen 8 x 8 images whose class shows in their brightness."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(16) % len(COUNTS)
    views = [torch.randn(16, 3, 8, 8, generator=g) * 0.3 + y.view(-1, 1, 1, 1) - 1.5 for _ in method.views]
    return Batch(views, y, torch.arange(16), torch.tensor(0.5))


def batches_for(method: methods.Method, stage: methods.Stage, seed: int = 0) -> list[Batch]:
    """A step's batches: one for each sampler of the stage."""
    return [batch_for(method, seed + 1000 * place) for place in range(len(stage.samplers))]


def split_for(counts=COUNTS) -> Split:
    """As many uint8 images of 8 x 8 as the counts say."""
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    part = Images(torch.randint(0, 256, (len(y), 3, 8, 8), dtype=torch.uint8), y)
    return Split("made up", ClassTable(tuple("abcd"), tuple(counts)), part, part)


def enter(method: methods.Method, stage: methods.Stage) -> list[torch.nn.Parameter]:
    """Begin a stage as the training loop does; returns what it trains."""
    method.begin_stage(stage, split_for(method.counts))
    if not stage.share:
        with torch.no_grad():
            method.eval().post_hoc(stage, (batch_for(method, seed) for seed in range(3)))
        return []
    method.train(stage.trains is None)
    for name in (stage.trains or ()) + stage.adapts:
        method.get_submodule(name).train()
    own = [p for p in method.parameters() if p.requires_grad]
    if stage.trains is not None:
        own = [p for name in stage.trains for p in method.get_submodule(name).parameters() if p.requires_grad]
    return own


def build(name: str, seed: int = 0, **options) -> methods.Method:
    torch.manual_seed(seed)
    return methods.method_class(name)(COUNTS, nets.Net("conv4"), **options)


def steps(method: methods.Method, n: int) -> list[float]:
    """Total loss of n steps of SGD in each stage; as in training, what is drawn depends on the place alone."""
    losses = []
    for number, stage in enumerate(method.stages()):
        torch.manual_seed(number)
        own = enter(method, stage)
        if not own:
            continue
        optimiser = torch.optim.SGD(own, 0.05, 0.9)
        for step in range(n):
            torch.manual_seed(step)
            total = sum(method(*batches_for(method, stage, step)).values())
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
    for stage in method.stages():
        own = enter(method, stage)
        if not own:
            continue
        terms = method(*batches_for(method, stage))
        assert terms and all(t.shape == () and t.isfinite() for t in terms.values())
        method.zero_grad()
        sum(terms.values()).backward()
        names = {p: n for n, p in method.named_parameters()}
        assert not [names[p] for p in own if p.grad is None or not p.grad.isfinite().all()]


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


class Static(TorchDispatchMode):
    """Forbids what a captured step cannot do: reading a value back, and shapes that depend on values."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, masks = (
            func.overloadpacket.__name__,
            args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else (),
        )
        assert name not in ("_local_scalar_dense", "nonzero", "masked_select", "_unique2"), f"{name} in a step"
        assert not any(isinstance(m, torch.Tensor) and m.dtype == torch.bool for m in masks), (
            f"{name} by a mask in a step"
        )
        return func(*args, **(kwargs or {}))


@every_method
def test_a_step_is_static(name):
    method = build(name)
    for stage in method.stages():
        if enter(method, stage):
            batches = batches_for(method, stage)
            with Static():
                sum(method(*batches).values()).backward()
                method.after_step()


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
def test_options_are_flags_that_no_field_of_the_recipe_nor_the_train_command_has(name):
    flags = {field.name for field in fields(Recipe)} | inspect.signature(cli.train).parameters.keys()
    assert not flags & methods.options_of(methods.method_class(name)).keys()


@every_method
def test_a_class_without_training_images_keeps_everything_finite(name):
    torch.manual_seed(0)
    method = methods.method_class(name)((40, 0, 10, 5), nets.Net("conv4"))
    assert method.log_prior.isfinite().all()
    for stage in method.stages():
        if enter(method, stage):
            assert all(t.isfinite() for t in method(*batches_for(method, stage)).values())
    assert method.eval().logits(batch_for(method).views[0]).isfinite().all()


@every_method
def test_views_exist_in_every_family(name):
    from longtail.augment import FAMILIES

    for family in FAMILIES.values():
        assert set(methods.method_class(name).views) <= set(family.views)


@every_method
def test_it_trains_on_digits_and_resumes_across_its_stages_to_the_same_saved_model(name, tmp_path):
    """Killed in the first epoch of every stage but the first, whose checkpoint is then of the stage before."""
    recipe = recipe_for("digits-lt", method=name, epochs=3, eval_every=0)
    whole = train_model("digits-lt", name, out=tmp_path / "whole", epochs=3, eval_every=0)
    parts = [part for part in plan(whole.method.stages(), 3) if part.epochs]
    for part in parts[1:] or [plan_of_one(parts)]:
        out = tmp_path / part.stage.name
        with pytest.raises(Killed):
            train(recipe, out, KillAt(part.before + 1))
        train(recipe, out, Silent(), resume=True)
        kept, again = (load_method(RunFolder.open(run))[1].inference_state() for run in (whole.path, out))
        assert kept.keys() == again.keys() and all(torch.equal(kept[k], again[k]) for k in kept)
        assert (out / "results.json").read_text() == (whole.path / "results.json").read_text()


def plan_of_one(parts):
    """A method of one stage is killed in its second epoch."""
    return replace(parts[0], before=1)


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

"""Every method passes the contract of `longtail.testing`, and a resumed run gives the same model."""

import importlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from longtail import methods, nets
from longtail.api import train as train_model
from longtail.launch import train
from longtail.recipes import recipe_for
from longtail.runs.finished import FinishedRun
from longtail.stages import plan_stages
from longtail.testing import COUNTS, ContractError, check_method, make_batch, train_steps
from longtail.tracking import SilentReport
from tests.dying import KillAt, Killed

every_method = pytest.mark.parametrize("name", methods.METHODS)
# every method's state passes a round trip in its contract; whole runs of one method a family, and of those with odd stages
FIRST = {entry.family: name for name, entry in reversed(methods.METHODS.items())}.values()
resumed_methods = pytest.mark.parametrize(
    "name",
    [
        name if name in {*FIRST, "ecl", "m2m", "ssd"} else pytest.param(name, marks=pytest.mark.slow)
        for name in methods.METHODS
    ],
)


@every_method
def test_every_method_passes_the_contract(name):
    check_method(name)


@every_method
def test_options_read_from_the_source_are_those_of_the_class(name):
    assert methods.get_options(name) == methods.read_signature(methods.get_method_class(name))


@resumed_methods
def test_a_run_on_digits_that_is_killed_and_resumed_gives_the_same_model(name, tmp_path):
    """The run is killed in the first epoch of every later stage, when the checkpoint is of the stage before."""
    recipe = recipe_for("digits-lt", method=name, epochs=3, eval_every=0)
    whole = train_model("digits-lt", name, out=tmp_path / "whole", epochs=3, eval_every=0)
    plans = [plan for plan in plan_stages(whole.method.stages(), 3) if plan.epochs]
    for plan in plans[1:] or [replace(plans[0], first_epoch=1)]:
        out = tmp_path / plan.stage.name
        with pytest.raises(Killed):
            train(recipe, out, KillAt(plan.first_epoch + 1))
        train(recipe, out, SilentReport(), resume=True)
        kept, again = (FinishedRun.open(run).load_method().inference_state() for run in (whole.path, out))
        assert kept.keys() == again.keys() and all(torch.equal(kept[k], again[k]) for k in kept)
        assert (out / "results.json").read_text() == (whole.path / "results.json").read_text()


class Broken(methods.Classifier):
    """Cross-entropy with one fault, named by `fault`."""

    fault = ""

    def __init__(self, counts, net):
        super().__init__(counts, net)
        self.unused = torch.nn.Linear(2, 2) if self.fault == "gradient" else None
        self.calls = 0
        if self.fault == "buffer":
            self.weight = torch.ones(len(counts))
        self.shares = [n / sum(counts) for n in counts]

    def begin_epoch(self, batches):
        if self.fault == "draw":
            torch.rand(1)

    def forward(self, batch):
        self.calls += 1
        z = self.logits(batch.views[0])[0]
        loss = cross_entropy(z, batch.y, reduction="none" if self.fault == "scalar" else "mean")
        if self.fault == "static" and loss.item() < 0:
            loss = loss * 2
        if self.fault == "unseen":
            loss = loss + 0 * torch.tensor(self.shares).log().sum()
        if self.fault == "finite":
            loss = loss * torch.nan
        if self.fault == "learn":
            loss = -loss
        return {"ce": loss + (self.calls if self.fault == "state" else 0)}

    def features(self, x):
        return self.encoders(x)[0] if self.fault == "shape" else self.encoders(x)

    def inference_state(self):
        state = super().inference_state()
        return {k: v for k, v in state.items() if self.fault != "inference" or not k.startswith("cls")}


FAULTS = {
    "gradient": "no finite gradient",
    "buffer": "weight is a tensor but no buffer; set it by register_buffer",
    "unseen": r"not finite where a class has no training images \(counts \(40, 0, 10, 5\)\)",
    "draw": "draws random numbers",
    "scalar": "no scalar",
    "static": "reads values back",
    "finite": "not finite",
    "learn": "does not learn",
    "state": "goes on otherwise",
    "shape": "features of 6 images",
    "inference": "more than the inference state",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_clause_is_named(fault):
    with pytest.raises(ContractError, match=FAULTS[fault]):
        check_method(type(f"Broken{fault}", (Broken,), {"fault": fault}))


def test_a_sound_class_passes():
    check_method(Broken)


def test_the_method_in_ten_lines_of_the_docs_works_as_printed(tmp_path, monkeypatch):
    page = (Path(__file__).resolve().parents[2] / "docs" / "write-a-method.md").read_text()
    code, _, line = re.findall(r"```python\n(.*?)```", page, re.S)
    (tmp_path / "focal_example.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    focal = importlib.import_module("focal_example").Focal
    assert isinstance(eval(line.partition(":")[2].strip().rstrip(","), {"Entry": methods.Entry}), methods.Entry)
    method = focal(COUNTS, nets.Net("conv4"), gamma=1.0)
    assert methods.read_signature(focal)["gamma"].default == 2.0
    losses = train_steps(method, 20)
    assert losses[-1] < losses[0]
    plain = focal(COUNTS, nets.Net("conv4"), gamma=0.0)
    z = plain.logits(make_batch(plain).views[0])[0]
    assert plain(make_batch(plain))["focal"].item() == pytest.approx(cross_entropy(z, make_batch(plain).y).item())

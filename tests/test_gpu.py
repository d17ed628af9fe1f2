"""On a GPU (`pytest -m gpu`): the captured step is the plain one, and whole runs train, are tested and go on."""

from dataclasses import replace

import pytest
import torch

from longtail.api import load
from longtail.data import Batch, ClassTable, Split, TensorImages
from longtail.evaluate import iterate_batches
from longtail.graph import GraphStep
from longtail.launch import train
from longtail.methods import METHODS
from longtail.recipes import recipe_for
from longtail.seeds import train_seeds
from longtail.stages import build_parameter_groups
from longtail.step import Step
from longtail.tracking import SilentReport
from tests.dying import KillAt, Killed
from tests.nets.compare_fused import compare, measure_distances

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]
# methods whose step draws random numbers
DRAWING = ("balpoe", "cam", "cmo", "cmo_ride", "gcl", "m2m", "mislas", "mixup", "prior_lt", "tsc")


COUNTS = (60, 25, 10, 5)
# every stage that trains, not only the first; the progress below passes the deferred weights of some methods
STAGES = [
    (name, number)
    for name in METHODS
    for number, stage in enumerate(recipe_for("digits-lt", method=name).build_method(COUNTS).stages())
    if stage.share
]


def make(kind: type[Step], method: str, number: int = 0, device: str = "cuda") -> Step:
    """Make the step of a stage, after all stages before it have begun."""
    recipe = recipe_for("digits-lt", method=method, lr=1e-3)  # a large rate multiplies rounding by ten a step
    torch.manual_seed(0)
    built, transform_set, split = recipe.build_method(COUNTS).to(device), recipe.transform_set, make_split()
    for stage in built.stages()[: number + 1]:
        built.begin_stage(stage, split)
        built.enter(stage)
    groups = build_parameter_groups(built, stage, 1.0)
    step = kind(built, groups, replace(recipe, lr=stage.lr_scale * recipe.lr), transform_set)
    with torch.no_grad():
        built.eval().begin_epoch(iterate_batches(split.train, transform_set, torch.device(device)))
    built.set_train_mode(stage)
    return step


def make_split() -> Split:
    """Make a split of random digits."""
    labels = torch.repeat_interleave(torch.arange(len(COUNTS)), torch.tensor(COUNTS))
    images = torch.randint(
        0, 256, (len(labels), 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    subset = TensorImages(images, labels)
    return Split("random digits", ClassTable(("a", "b", "c", "d"), COUNTS), subset, subset)


def batches(step: Step, samplers: int, seed: int) -> list[Batch]:
    """Return a batch of random digits for each sampler of a stage."""
    g, device = torch.Generator().manual_seed(seed), step.progress.device
    return [
        Batch(
            [torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8, generator=g).to(device) for _ in step.method.views],
            torch.randint(0, 4, (8,), generator=g).to(device),
            torch.arange(8, device=device),
            step.progress,
        )
        for _ in range(samplers)
    ]


def losses(step: Step, number: int = 0, n: int = 8) -> list[float]:
    """Return the losses of n steps of a stage after one seed of the random numbers."""
    torch.manual_seed(0)
    found, samplers = [], len(step.method.stages()[number].samplers)
    for i in range(n):
        step(batches(step, samplers, i), i / n)
        found.append(sum(step.pop_sums()[0].values()))
    return found


@pytest.mark.parametrize(("name", "number"), STAGES)
def test_the_captured_step_of_every_stage_of_every_method_is_the_plain_one(name, number):
    plain, captured = make(Step, name, number), make(GraphStep, name, number)
    expected, found = losses(plain, number), losses(captured, number)
    assert captured.graph is not None
    assert found == pytest.approx(expected, rel=0.3 if name in DRAWING else 1e-3)


def test_networks_trained_as_one_are_plain_ones():
    compare("fp32", 1e-3, "cuda", depth=14, n=64, side=32)


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_networks_trained_as_one_in_low_precision_are_as_near_to_plain_ones_as_torch(precision):
    fused, plain = measure_distances(precision)
    assert fused < 1.2 * plain


def test_a_step_of_fused_networks_gives_equal_bits_twice():
    first, second = (losses(make(GraphStep, "ecl")) for _ in range(2))
    assert first == second


def test_after_a_capture_that_fails_random_numbers_can_be_drawn(monkeypatch):
    step = make(GraphStep, "mixup")
    forward = step.method.forward

    def reading(*given):
        terms = forward(*given)
        if torch.cuda.is_current_stream_capturing():
            next(iter(terms.values())).item()  # waits for the device, which a capture forbids
        return terms

    monkeypatch.setattr(step.method, "forward", reading)
    with pytest.warns(UserWarning, match="without a CUDA graph"):
        assert all(value > 0 for value in losses(step))
    assert torch.rand(2, device="cuda").isfinite().all()


def test_a_run_is_killed_goes_on_and_is_tested(tmp_path):
    recipe = recipe_for("digits-lt", epochs=10)
    with pytest.raises(Killed):
        train(recipe, tmp_path / "run", KillAt(2), device="cuda")
    train(recipe, tmp_path / "run", SilentReport(), device="cuda", resume=True)
    model = load(tmp_path / "run", device="cuda")
    assert model.results["plain"]["ensemble"]["top1"] > 30


@pytest.mark.parametrize("name", ["ecl", "mixup"])
def test_seeds_side_by_side_learn(name, tmp_path):
    summary = train_seeds(
        recipe_for("digits-lt", method=name, epochs=10), 3, tmp_path / "all", SilentReport(), device="cuda"
    )
    assert summary["plain"]["ensemble"]["top1"]["mean"] > 30

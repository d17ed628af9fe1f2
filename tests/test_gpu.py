"""On a GPU (`pytest -m gpu`): the captured step is the plain one, and whole runs train, are tested and go on."""

import pytest
import torch

from longtail.api import load
from longtail.data import Batch
from longtail.graph import GraphStep
from longtail.launch import train
from longtail.methods import METHODS
from longtail.recipes import recipe_for
from longtail.seeds import train_seeds
from longtail.step import Step
from longtail.tracking import SilentReport
from tests.dying import KillAt, Killed
from tests.nets.compare_fused import compare, measure_distances

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")]
# methods whose step draws random numbers
DRAWING = ("balpoe", "cam", "cmo", "cmo_ride", "gcl", "m2m", "mislas", "mixup", "prior_lt", "tsc")


def make(kind: type[Step], method: str) -> Step:
    recipe = recipe_for("digits-lt", method=method, lr=1e-3)  # a large rate multiplies rounding by ten a step
    torch.manual_seed(0)
    built = recipe.build_method((60, 25, 10, 5)).cuda().train()
    return kind(built, [{"params": [p for p in built.parameters() if p.requires_grad]}], recipe, recipe.transform_set)


def batches(step: Step, seed: int) -> list[Batch]:
    """A batch of random digits for each sampler of the first stage."""
    g = torch.Generator().manual_seed(seed)
    stage, n = step.method.stages()[0], len(step.method.views)
    return [
        Batch(
            [torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8, generator=g).cuda() for _ in range(n)],
            torch.randint(0, 4, (8,), generator=g).cuda(),
            torch.arange(8).cuda(),
            step.progress,
        )
        for _ in stage.samplers
    ]


def losses(step: Step, n: int = 8) -> list[float]:
    """Of n steps after one seed of the GPU's random numbers."""
    torch.manual_seed(0)
    found = []
    for i in range(n):
        step(batches(step, i), 0.0)
        found.append(sum(step.pop_sums()[0].values()))
    return found


@pytest.mark.parametrize("name", METHODS)
def test_the_captured_step_of_every_method_is_the_plain_one(name):
    plain, captured = make(Step, name), make(GraphStep, name)
    expected, found = losses(plain), losses(captured)
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

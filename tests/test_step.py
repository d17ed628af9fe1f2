"""The step: what it computes, and the same over the buffers that a CUDA graph needs."""

import math
from contextlib import nullcontext

import pytest
import torch

from longtail import graph
from longtail.augment import get_transform_set
from longtail.data import Batch
from longtail.graph import GraphStep
from longtail.recipes import recipe_for
from longtail.step import Step

COUNTS = (60, 25, 10, 5)


def make(kind: type[Step], **changes) -> Step:
    recipe = recipe_for("digits-lt", **changes)
    torch.manual_seed(0)
    method = recipe.build_method(COUNTS).train()
    return kind(
        method,
        [{"params": [p for p in method.parameters() if p.requires_grad]}],
        recipe,
        get_transform_set(recipe.views),
    )


def batch(seed: int) -> Batch:
    g = torch.Generator().manual_seed(seed)
    views = [torch.randint(0, 256, (8, 3, 8, 8), dtype=torch.uint8, generator=g) for _ in range(2)]
    return Batch(views, torch.randint(0, 4, (8,), generator=g), torch.arange(8), torch.zeros(()))


@pytest.mark.parametrize("method", ["ce", "ecl", "ncl", "paco", "ride"])
def test_the_step_over_static_buffers_equals_the_plain_one_after_20_steps(method):
    plain, static = make(Step, method=method), make(GraphStep, method=method)
    for i in range(20):
        plain([batch(i)], i / 20)
        static([batch(i)], i / 20)
        assert plain.pop_sums() == static.pop_sums()
    state, other = plain.method.state_dict(), static.method.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_the_static_step_reads_its_batches_from_one_place():
    static = make(GraphStep)
    static([batch(0)], 0.0)
    places = [view.data_ptr() for view in static.buffers[0].views]
    static([batch(1)], 0.0)
    assert places == [view.data_ptr() for view in static.buffers[0].views]
    assert torch.equal(static.buffers[0].views[0], batch(1).views[0]) and torch.equal(static.buffers[0].y, batch(1).y)


def test_state_read_by_the_graph_stays_where_it_is():
    step = make(Step)
    step([batch(0)], 0.0)

    def places() -> dict[str, int]:
        held = {name: t.data_ptr() for name, t in step.method.state_dict().items()}
        held |= {name: getattr(step, name).data_ptr() for name in ("progress", "count", "sums", "bad")}
        held |= {f"lr{i}": lr.data_ptr() for i, lr in enumerate(step.lrs)}
        return held | {i: s["momentum_buffer"].data_ptr() for i, s in enumerate(step.optimizer.state.values())}

    before = places()
    for i in range(3):
        step([batch(i)], 0.5)
        step.pop_sums()
    assert places() == before


def test_a_failed_capture_warns_once_says_why_and_goes_on(monkeypatch):
    static, plain = make(GraphStep), make(Step)
    static.is_eager = False

    def broken(graph, **how):
        static.method.queue.hold(torch.full((3, 16, 64), math.nan))  # as far as the step came
        raise RuntimeError("operation not permitted when stream is capturing\nand more")

    monkeypatch.setattr(GraphStep, "run_on_side_stream", lambda self, run: run(self.buffers))
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: None)
    monkeypatch.setattr(torch.cuda, "graph", broken)
    monkeypatch.setattr(graph, "restore_after_failed_capture", nullcontext)
    with pytest.warns(UserWarning, match="without a CUDA graph.*not permitted") as caught:
        for i in range(6):
            static([batch(i)], 0.0)
            plain([batch(i)], 0.0)
    assert len(caught) == 1
    state, other = plain.method.state_dict(), static.method.state_dict()
    assert all(torch.equal(state[name], other[name]) for name in state)


def test_the_step_is_sgd_on_the_sum_of_the_terms_with_lr_on_a_cosine():
    step, other = make(Step, weight_decay=0.01), make(Step)
    optimizer = torch.optim.SGD([p for p in other.method.parameters() if p.requires_grad], 1.0, 0.9, weight_decay=0.01)
    for i in range(4):
        step([batch(i)], i / 4)
        assert step.lr.item() == pytest.approx(0.2 * (1 + math.cos(math.pi * i / 4)) / 2)
        optimizer.param_groups[0]["lr"] = step.lr.item()
        optimizer.zero_grad()
        sum(other.method(other.prepare(batch(i))).values()).backward()
        optimizer.step()
        other.method.after_step()
    for a, b in zip(step.method.parameters(), other.method.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_half_precision_trains_close_to_full_precision():
    full, half = make(Step), make(Step, precision="bf16")
    for i in range(10):
        full([batch(i)], 0.5)
        half([batch(i)], 0.5)
    a, b = (sum(step.pop_sums()[0].values()) for step in (full, half))
    assert a == pytest.approx(b, rel=0.05) and a != b
    assert all(p.dtype == torch.float32 for p in half.method.parameters())

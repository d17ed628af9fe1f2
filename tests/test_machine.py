"""What a machine lacks is refused in one line instead of being slow in silence."""

import pytest
import torch

from longtail import LongtailError
from longtail.launch import train
from longtail.machine import check_precision, default_threads, has_bf16
from longtail.recipes import recipe_for
from longtail.tracking import SilentReport

CPU = torch.device("cpu")


@pytest.fixture
def without_bf16(monkeypatch):
    monkeypatch.delenv("LONGTAIL_EMULATE_BF16", raising=False)
    monkeypatch.setattr("longtail.machine.has_bf16", lambda device: False)


@pytest.mark.parametrize("is_new", [True, False])
def test_a_gpu_and_a_cpu_are_asked_for_bf16(is_new, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: is_new)
    assert has_bf16(torch.device("cuda")) == is_new and isinstance(has_bf16(CPU), bool)


def test_bf16_that_would_be_emulated_is_refused_before_the_first_step(without_bf16, tmp_path):
    with pytest.raises(LongtailError, match="no bf16 instructions") as error:
        train(recipe_for("digits-lt", method="ce", precision="bf16"), tmp_path / "run", SilentReport(), device="cpu")
    assert "\n" not in str(error.value) and not (tmp_path / "run").exists()


def test_an_explicit_word_allows_it_and_fp32_needs_none(without_bf16, monkeypatch):
    check_precision("fp32", CPU)
    monkeypatch.setenv("LONGTAIL_EMULATE_BF16", "1")
    check_precision("bf16", CPU)


def test_tiny_images_take_one_thread_unless_more_are_asked_for(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    assert (default_threads(8), default_threads(16), default_threads(32)) == (1, 1, 2)
    recipe = recipe_for("digits-lt", method="ce", epochs=1)
    seen = [train(recipe, tmp_path / str(n), SilentReport(), device="cpu", threads=n) for n in (None, 2)]
    assert [run.read_json("environment.json")["threads"] for run in seen] == [1, 2] and torch.get_num_threads() == 2
    torch.set_num_threads(before)

"""The flags of `longtail train`: those of the named method, wherever they stand on the line."""

import itertools
import json
import random
import sys
from types import ModuleType
from typing import Annotated

import pytest

from longtail import LongtailError
from longtail.commands import app
from longtail.commands.train import find_choices
from longtail.methods.bc import BalancedClassifier


def parse(line: str) -> tuple[tuple, dict]:
    """Return the arguments and flags that the application finds on a line."""
    tokens = line.split()
    _, bound, *_ = app.build_app(tokens).parse_args(tokens, exit_on_error=False, print_error=False)
    return bound.args, bound.kwargs


FLAGS: dict[str, dict[str, object]] = {
    "--lr -1": {"lr": -1.0},
    "--momentum=-1e-3": {"momentum": -1e-3},
    "--epochs 3": {"epochs": 3},
    "--no-cpt": {"cpt": False},
    "--fld": {"fld": True},
    "--no_bkt": {"bkt": False},
    "--nesterov": {"nesterov": True},
    "--resume": {"resume": True},
    "--out ce": {"out": "ce"},
    "--net=resnet8": {"net": "resnet8"},
    "--batch_size 4": {"batch_size": 4},
    "--kd-on balanced": {"kd_on": "balanced"},
    "--recipe ncl-cifar": {"recipe": "ncl-cifar"},
    "--imbalance none": {"imbalance": None},
}


@pytest.mark.parametrize("seed", range(10))
def test_flags_in_any_order_around_the_data_and_the_method_are_found(seed):
    draw = random.Random(seed)
    chosen = draw.sample(sorted(FLAGS), draw.randint(1, len(FLAGS)))
    first, second = sorted(draw.choices(range(len(chosen) + 1), k=2))
    line = " ".join(["train", *chosen[:first], "cifar100-lt", *chosen[first:second], "ecl", *chosen[second:]])
    arguments, flags = parse(line)
    assert arguments == ("cifar100-lt", "ecl")
    assert flags == {name: value for flag in chosen for name, value in FLAGS[flag].items()}


@pytest.mark.parametrize(
    "before, between, after", list(itertools.permutations(["--tau 0.5", "--no-nesterov", "--seed 7"]))
)
def test_flags_of_a_method_may_stand_before_its_name(before, between, after):
    arguments, flags = parse(f"train {before} digits-lt {between} bc {after}")
    assert arguments == ("digits-lt", "bc") and flags == {"tau": 0.5, "nesterov": False, "seed": 7}


@pytest.mark.parametrize(
    "line, choices",
    [
        ("", (None, "ecl", None)),
        ("digits-lt", ("digits-lt", "ecl", None)),
        ("digits-lt --gamma 0.5 focal", ("digits-lt", "focal", None)),
        ("--lr -1 digits-lt --gamma=0.5 focal", ("digits-lt", "focal", None)),
        ("digits-lt --no-cpt --resume --nesterov bc --tau 1", ("digits-lt", "bc", None)),
        ("digits-lt --out ce --recipe own", ("digits-lt", "ecl", "own")),
        ("digits-lt --epochs 1 elc", ("digits-lt", "elc", None)),
        ("--help digits-lt ce", ("digits-lt", "ce", None)),
        ("-h digits-lt ce", ("digits-lt", "ce", None)),
        ("-- digits-lt ce", ("digits-lt", "ce", None)),
        ("--empty-milestones digits-lt ce", ("digits-lt", "ce", None)),
        ("digits-lt --unknown 3 my_module:Mine", ("digits-lt", "my_module:Mine", None)),
        ("digits-lt my_module:Mine --switch --lr 3", ("digits-lt", "my_module:Mine", None)),
        ("digits-lt --out", (None, "ecl", None)),  # the second parse says what is missing
    ],
)
def test_data_method_and_recipe_are_found_before_the_flags_are_known(line, choices):
    assert find_choices(line.split()) == choices


def test_both_spellings_of_a_recipe_give_the_same_help_with_its_defaults(capsys):
    texts = []
    for recipe in ("--recipe=ncl-cifar", "--recipe ncl-cifar"):
        with pytest.raises(SystemExit):
            app.main(["train", "cifar100-lt", *recipe.split(), "--help"])
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] and "(default 400)" in texts[0]


def test_help_shows_the_options_of_the_named_method_only(capsys):
    with pytest.raises(SystemExit):
        app.main(["train", "digits-lt", "focal", "--help"])
    text = capsys.readouterr().out
    assert "Options of focal" in text and "--gamma" in text and "--alpha" not in text


class Shifted(BalancedClassifier):
    """A method of another package, with an option and a switch."""

    def __init__(
        self,
        counts,
        net,
        *,
        shift: Annotated[float, "shift of logits"] = 0.0,
        quiet: Annotated[bool, "no noise"] = False,
    ):
        super().__init__(counts, net)
        self.shift, self.quiet = shift, quiet


@pytest.fixture
def plugin(monkeypatch):
    module = ModuleType("plugin_of_a_test")
    module.Shifted = Shifted  # type: ignore[attr-defined]  # a module made for the test
    monkeypatch.setitem(sys.modules, "plugin_of_a_test", module)
    return "plugin_of_a_test:Shifted"


@pytest.mark.parametrize(
    "line",
    ["digits-lt {} --shift -2 --quiet", "--shift -2 digits-lt {} --quiet", "digits-lt --shift=-2 {} --quiet --lr 1"],
)
def test_the_options_of_a_plug_in_method_are_flags(plugin, line):
    arguments, flags = parse("train " + line.format(plugin))
    assert arguments == ("digits-lt", plugin) and (flags["shift"], flags["quiet"]) == (-2.0, True)


def test_a_plug_in_that_does_not_load_is_one_line():
    with pytest.raises(LongtailError, match="method 'nowhere_at_all:Mine' does not load"):
        parse("train digits-lt nowhere_at_all:Mine")


def test_flags_reach_the_recipe_of_the_run(tmp_path):
    words = [
        "train",
        "--epochs",
        "1",
        "digits-lt",
        "--no-nesterov",
        "bc",
        "--tau",
        "0.5",
        "--out",
        str(tmp_path / "run"),
    ]
    with pytest.raises(SystemExit) as stop:
        app.main(words)
    recipe = json.loads((tmp_path / "run" / "recipe.json").read_text())
    assert stop.value.code == 0
    assert (recipe["method"], recipe["epochs"], recipe["nesterov"]) == ("bc", 1, False)
    assert recipe["options"]["tau"] == 0.5

"""Library manners: importing, training and loading change nothing in the caller's process."""

import subprocess
import sys
import warnings

import pytest
import torch

import longtail
from longtail import LongtailError
from longtail.commands.app import main
from longtail.errors import mark_command_line, name_parameters

SHORT = {"epochs": 1, "eval_every": 0, "device": "cpu"}


def process_state() -> tuple:
    """Everything of the process that torch keeps in globals and a run needs in another way."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    flags = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, torch.is_grad_enabled(), torch.get_num_threads()
    return flags, torch.get_rng_state().tolist(), list(warnings.filters), torch.get_default_dtype()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("api") / "run"
    longtail.train("digits-lt", "ce", out=out, threads=1, **SHORT)
    return out


@pytest.mark.parametrize("tf32", [False, True])
def test_train_load_and_predict_leave_the_process_as_it_was(tf32, tmp_path):
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.manual_seed(7)
    before = process_state()
    model = longtail.train("digits-lt", "mixup", out=tmp_path / "run", threads=1, **SHORT)
    assert process_state() == before
    model = longtail.load(tmp_path / "run", threads=1)
    model.predict(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert process_state() == before


NEW_PRECISION = """
import torch
from longtail.distributed import init_world
backends = torch.backends
places = (backends, backends.cuda.matmul, backends.cudnn, backends.cudnn.conv, backends.cudnn.rnn)
for setting in ("tf32", "ieee"):
    places[3 if setting == "ieee" else 0].fp32_precision = setting
    before = [place.fp32_precision for place in places]
    for tf32, value in ((True, "tf32"), (False, "ieee")):
        with init_world("cpu").session(tf32=tf32):
            assert {place.fp32_precision for place in places} == {value}
    assert [place.fp32_precision for place in places] == before
"""


def test_a_process_that_sets_the_newer_precision_of_torch_keeps_it():
    subprocess.run([sys.executable, "-c", NEW_PRECISION], check=True)


def test_a_failed_training_leaves_the_process_as_it_was(tmp_path):
    before = process_state()
    with pytest.raises(LongtailError, match="not finite"):
        longtail.train("digits-lt", "ce", out=tmp_path / "run", lr=1e30, threads=1, **SHORT)
    assert process_state() == before


def loaded(code: str, *modules: str) -> list[str]:
    """Which of the modules a piece of code loads in a fresh process."""
    show = f"; import sys; print([m for m in {modules!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code + show], capture_output=True, text=True, check=True)
    return eval(found.stdout.splitlines()[-1])


HEAVY = (
    "torch",
    "timm",
    "torchvision",
    "sklearn",
    "pyarrow",
    "matplotlib",
    "pandas",
    "jinja2",
    "rich",
    "cyclopts",
    "PIL",
)


def test_errors_name_parameters_where_the_command_line_names_flags(run):
    for advice, changes in {
        "continue it with `resume` or choose another `out`": {"out": run},
        "ask for a smaller `batch_size`": {"out": f"{run}2", "batch_size": 1000},
    }.items():
        with pytest.raises(LongtailError) as failed:
            longtail.train("digits-lt", "ce", **SHORT | changes)
        assert advice in str(failed.value) and "--" not in str(failed.value)
    with pytest.raises(LongtailError, match=r"^ask `longtail train --help` for `batch_size`$"), name_parameters():
        raise LongtailError("ask `longtail train --help` for --batch-size")


def test_a_command_that_uses_the_python_interface_names_flags(run, capsys):
    with pytest.raises(SystemExit):
        main(["calibrate", str(run), "--coverage", "0"])
    assert "error: --coverage is 0" in capsys.readouterr().err
    with pytest.raises(LongtailError, match=r"^--x$"), mark_command_line(), name_parameters():
        raise LongtailError("--x")


def test_import_longtail_loads_nothing_and_its_losses_torch_alone():
    assert loaded("import longtail; longtail.__version__", *HEAVY) == []
    assert loaded("import longtail.losses", *HEAVY) == ["torch"]
    assert loaded("import longtail; longtail.losses.info_nce", *HEAVY) == ["torch"]


def test_training_from_python_loads_no_command_line(run):
    code = f"import longtail; longtail.load({str(run)!r})"
    assert loaded(code, "rich", "cyclopts", "longtail.commands") == []


def test_every_public_name_is_there():
    for name in longtail.__all__:
        assert getattr(longtail, name) is not None
    for package in (
        longtail.data,
        longtail.metrics,
        longtail.methods,
        longtail.losses,
        longtail.nets,
        longtail.augment,
    ):
        for name in package.__all__:
            assert getattr(package, name) is not None, f"{package.__name__}.{name}"


def test_verbose_prints_what_was_chosen_the_last_epoch_and_the_phases_after_it(tmp_path, capsys):
    longtail.train("digits-lt", "ce", out=tmp_path / "run", verbose=True, **SHORT)
    title, chosen, *_, epoch, test, report = capsys.readouterr().out.splitlines()
    assert title.startswith("ce on digits-lt") and epoch.startswith("seed 0 epoch 1/1  loss ")
    assert chosen == (
        "weights random, learning rate 0.2, batch 32, images of 8 x 8, horizontal flips off, nothing held out"
    )
    assert (test, report) == ("seed 0 epoch 1/1, testing", "drawing the report")

"""A run from end to end: the same every time, resumable, never overwritten."""

import csv
import json
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

import longtail
from longtail import LongtailError
from longtail.api import train as train_model
from longtail.checkpoint import SECONDS_BETWEEN, load_checkpoint
from longtail.commands import app
from longtail.launch import train
from longtail.methods import METHODS, Stage
from longtail.metrics import METRICS
from longtail.recipes import recipe_for
from longtail.runs.folder import RunFolder
from longtail.stages import plan_stages
from longtail.tracking import SilentReport
from tests.dying import KillAt, Killed

SHORT = {"epochs": 3, "eval_every": 1}


class Notes(SilentReport, list):
    """Keeps what a run's user is told."""

    def note(self, text: str) -> None:
        self.append(text)


def weights(run) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished short run of ECL."""
    out = tmp_path_factory.mktemp("runs") / "first"
    train_model("digits-lt", "ecl", out=out, **SHORT)
    return out


def test_the_same_seed_gives_identical_weights_and_another_seed_others(finished, tmp_path):
    train_model("digits-lt", "ecl", out=tmp_path / "again", **SHORT)
    assert same(weights(finished), weights(tmp_path / "again"))
    train_model("digits-lt", "ecl", out=tmp_path / "other", seed=1, **SHORT)
    assert not same(weights(finished), weights(tmp_path / "other"))


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_a_run_killed_in_any_epoch_resumes_to_identical_weights(finished, tmp_path, epoch):
    out = tmp_path / "run"
    recipe = recipe_for("digits-lt", **SHORT)
    with pytest.raises(Killed):
        train(recipe, out, KillAt(epoch))
    assert not (out / "results.json").exists()
    notes = Notes()
    train(recipe, out, notes, resume=True)
    assert same(weights(finished), weights(out))
    assert [note for note in notes if note.startswith("seed")] == [f"seed 0 goes on with epoch {epoch}"] * (epoch > 1)
    assert (out / "results.json").read_text() == (finished / "results.json").read_text()
    rows = [list(csv.DictReader((d / "metrics.csv").open())) for d in (finished, out)]
    assert [r["bc"] for r in rows[0]] == [r["bc"] for r in rows[1]] and len(rows[1]) == 3


def test_where_epochs_are_short_a_run_keeps_the_first_and_the_last_and_resumes_to_identical_weights(
    finished, tmp_path, monkeypatch
):
    monkeypatch.setitem(SECONDS_BETWEEN, "cpu", 3600)  # as a GPU that trains an epoch in less than its seconds
    out, notes = tmp_path / "run", Notes()
    with pytest.raises(Killed):
        train(recipe_for("digits-lt", **SHORT), out, KillAt(3))
    train(recipe_for("digits-lt", **SHORT), out, notes, resume=True)
    assert "seed 0 goes on with epoch 2" in notes
    assert same(weights(finished), weights(out))
    assert len(list(csv.DictReader((out / "metrics.csv").open()))) == 3


def test_training_leaves_the_callers_random_numbers_alone(tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    train_model("digits-lt", "ce", out=tmp_path / "run", epochs=1)
    assert torch.equal(torch.rand(4), expected)


def test_results_have_the_keys_of_the_contract(finished):
    results = json.loads((finished / "results.json").read_text())
    assert list(results) == ["method", "data", "seed", "epochs", "plain", "flip"]
    for how in ("plain", "flip"):
        assert tuple(results[how]["ensemble"]) == METRICS and len(results[how]["experts"]) == 3
        assert 0 <= results[how]["ensemble"]["top1"] <= 100


def test_the_run_folder_holds_what_the_design_says(finished):
    names = {p.name for p in finished.iterdir() if p.name != "tensorboard"}  # where it is installed
    assert names == {
        *("recipe.json", "environment.json", "split.json", "metrics.csv", "results.json", "per_class.csv"),
        *("predictions.parquet", "checkpoint.pt", "model.safetensors", "model.json", "manifest.json", "report.html"),
    }
    assert len(pq.read_table(finished / "predictions.parquet")) == 700
    rows = list(csv.DictReader((finished / "per_class.csv").open()))
    assert [r["name"] for r in rows] == list("0123456789") and {r["test_images"] for r in rows} == {"70"}
    top1 = json.loads((finished / "results.json").read_text())["plain"]["ensemble"]["top1"]
    assert sum(float(r["plain"]) for r in rows) / 10 == pytest.approx(top1)


def test_a_single_network_has_one_expert_equal_to_the_ensemble(tmp_path):
    results = train_model("digits-lt", "bc", out=tmp_path / "run", epochs=1).results
    assert results["plain"]["experts"] == [results["plain"]["ensemble"]]


def test_a_loaded_model_gives_the_logits_behind_the_results(finished):
    model = longtail.load(finished)
    split = longtail.data.load_split("digits-lt", model.recipe.imbalance)
    assert model.evaluate(split).results(model.train_counts)["plain"] == model.results["plain"]
    assert model.logits(split.test.images[:5]).shape == (3, 5, 10)
    assert model.classes == [str(d) for d in range(10)]
    with pytest.raises(LongtailError, match=r"expected torch.uint8 \(N, 3, 8, 8\)"):
        model.logits(split.test.images[:5].float())


def test_nothing_is_overwritten_and_a_finished_run_resumes_to_itself(finished):
    before = {p.name: p.read_bytes() for p in finished.iterdir() if p.is_file()}
    with pytest.raises(LongtailError, match="exists already"):
        train_model("digits-lt", "ecl", out=finished, **SHORT)
    notes = Notes()
    train(recipe_for("digits-lt", **SHORT), finished, notes, resume=True)
    assert notes == [f"{finished} is trained to the end already; nothing is left to do"]
    assert before == {p.name: p.read_bytes() for p in finished.iterdir() if p.is_file()}


def test_resuming_with_another_recipe_says_what_differs(finished):
    with pytest.raises(LongtailError, match=r"lr is 0.2 there and 0.3 here"):
        train_model("digits-lt", "ecl", out=finished, resume=True, lr=0.3, **SHORT)


def test_a_loss_that_is_not_finite_stops_with_the_step_the_term_and_the_checkpoint(tmp_path, monkeypatch):
    from longtail.methods.ce import CrossEntropy

    forward, calls = CrossEntropy.forward, []

    def spoiled(self, batch):
        calls.append(1)
        terms = forward(self, batch)
        return terms | {"extra": terms["ce"] * (float("nan") if len(calls) == 11 else 0.0)}

    monkeypatch.setattr(CrossEntropy, "forward", spoiled)
    with pytest.raises(LongtailError, match=r"'extra' is not finite at step 3 of epoch 2; .*checkpoint.pt"):
        train_model("digits-lt", "ce", out=tmp_path / "run", epochs=4)
    assert load_checkpoint(RunFolder(tmp_path / "run"))["epoch"] == 1


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 broken zip"])
def test_a_foreign_checkpoint_is_refused_with_a_reason(finished, tmp_path, content):
    run = RunFolder(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(LongtailError, match="is not a checkpoint of longtail"):
        load_checkpoint(run)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("code ran",))

    torch.save({"method": Evil(), "epoch": 1}, tmp_path / "checkpoint.pt")
    with pytest.raises(LongtailError, match="is not a checkpoint of longtail"):
        load_checkpoint(RunFolder(tmp_path))


def test_stages_divide_the_epochs_by_their_shares():
    plans = plan_stages([Stage("a", 0.8), Stage("posthoc", 0.0), Stage("b", 0.2)], 10)
    assert [(p.stage.name, p.epochs, p.first_epoch) for p in plans] == [("a", 8, 0), ("posthoc", 0, 8), ("b", 2, 8)]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("epochs", [1, 2, 3, 7, 8, 200])
def test_the_stages_of_every_method_take_the_epochs_of_the_recipe_and_no_more(name, epochs):
    stages = recipe_for("digits-lt", method=name).build_method((4, 3, 2)).stages()
    if epochs < (trained := sum(stage.share > 0 for stage in stages)):
        with pytest.raises(LongtailError, match=f"{trained} stages, .* --epochs is {epochs}"):
            plan_stages(stages, epochs)
        return
    parts = plan_stages(stages, epochs)
    assert sum(part.epochs for part in parts) == epochs
    assert all((part.epochs > 0) == (part.stage.share > 0) for part in parts)


def test_a_stage_trains_only_what_it_names(tmp_path, monkeypatch):
    from longtail.methods.ce import CrossEntropy

    monkeypatch.setattr(
        CrossEntropy, "stages", lambda self: [Stage("features", 0.5), Stage("head", 0.5, ("balanced",), ("cls",))]
    )
    seen = {}

    def begin(self, stage, split):
        seen[stage.name] = {n: p.detach().clone() for n, p in self.named_parameters()}

    monkeypatch.setattr(CrossEntropy, "begin_stage", begin)
    model = train_model("digits-lt", "ce", out=tmp_path / "run", epochs=4)
    moved = {n for n, p in model.method.named_parameters() if not torch.equal(p, seen["head"][n])}
    assert moved == {"cls.weight", "cls.bias"}
    assert any(not torch.equal(seen["features"][n], seen["head"][n]) for n in seen["head"])


def test_weights_that_overflow_after_a_finite_loss_are_never_kept(tmp_path, monkeypatch):
    from longtail.methods.ce import CrossEntropy

    def spoil(self):
        with torch.no_grad():
            self.cls.bias.fill_(float("inf"))

    monkeypatch.setattr(CrossEntropy, "after_step", spoil)
    with pytest.raises(LongtailError, match=r"not finite"):
        train_model("digits-lt", "ce", out=tmp_path / "run", epochs=2, batch_size=287)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_run_killed_before_its_recipe_was_written_begins_again(finished, tmp_path):
    out = tmp_path / "run"
    out.mkdir()
    (out / "split.json").write_text("{}")
    (out / ".recipe.json.1.tmp").write_text("{")
    train_model("digits-lt", "ecl", out=out, resume=True, **SHORT)
    assert same(weights(finished), weights(out))


def test_two_processes_never_train_one_run(finished, tmp_path):
    out, recipe = tmp_path / "run", recipe_for("digits-lt", **SHORT)
    with pytest.raises(Killed):
        train(recipe, out, KillAt(2))
    code = (
        "import sys; from longtail.runs.folder import RunFolder; lock = RunFolder(sys.argv[1]).locked(); lock.__enter__(); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", code, out], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LongtailError, match="is being trained by another process"):
            train(recipe, out, SilentReport(), resume=True)
        other.stdin.close()
    train(recipe, out, SilentReport(), resume=True)
    assert same(weights(finished), weights(out))


CHANGED = {
    "recipe.json": ["[]", "{}", '{"data": "digits-lt", "old_name": 1}', "not json"],
    "model.json": ["[]", "{}", '{"train_counts": ["x"]}'],
    "results.json": ["[]", "{}"],
}


@pytest.mark.parametrize("has_manifest", [True, False])
@pytest.mark.parametrize(
    "name, content", [(name, content) for name, contents in CHANGED.items() for content in contents]
)
def test_a_changed_file_of_a_run_is_named(finished, tmp_path, name, content, has_manifest, capsys):
    run = shutil.copytree(finished, tmp_path / "run")
    (run / name).write_text(content)
    if not has_manifest:
        (run / "manifest.json").unlink()
    with pytest.raises(SystemExit) as stop:
        app.main(["evaluate", str(run)])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and f"run/{name}" in error and error.count("\n") == 1


def test_weights_that_are_not_finite_are_not_evaluated(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    spoiled = {k: torch.full_like(v, torch.nan) if v.is_floating_point() else v for k, v in weights(run).items()}
    save_file(spoiled, run / "model.safetensors")
    with pytest.raises(LongtailError, match=r"model.safetensors is not as longtail wrote it"):
        longtail.load(run)
    (run / "manifest.json").unlink()  # as in a run of version 0.1
    model = json.loads((run / "model.json").read_text())
    (run / "model.json").write_text(json.dumps({k: v for k, v in model.items() if k != "weights_sha256"}))
    with pytest.raises(LongtailError, match=r"model.safetensors holds numbers that are not finite"):
        longtail.load(run)


def test_a_checkpoint_of_another_recipe_or_with_missing_parts_is_refused(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "results.json").unlink()
    state = load_checkpoint(RunFolder(run))
    missing = {k: v for k, v in state["method"].items() if "cls" not in k}
    changes = {"another recipe": {"recipe": state["recipe"] | {"lr": 9.0}}, "as longtail wrote it": {"method": missing}}
    for message, change in changes.items():
        torch.save(state | change, run / "checkpoint.pt")
        with pytest.raises(LongtailError, match=message):
            train(recipe_for("digits-lt", **SHORT), run, SilentReport(), resume=True)
    torch.save({k: v for k, v in state.items() if k != "stage"}, run / "checkpoint.pt")
    with pytest.raises(LongtailError, match="is not a checkpoint of longtail"):
        train(recipe_for("digits-lt", **SHORT), run, SilentReport(), resume=True)


def test_a_full_disk_keeps_the_last_checkpoint_and_says_so(tmp_path):
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000));"  # a checkpoint of ECL is larger
        "from longtail.commands.app import main; main(sys.argv[1:])"
    )
    words = ["train", "digits-lt", "ecl", "--epochs", "1", "--out", str(tmp_path / "run")]
    found = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    assert found.returncode == 2 and found.stderr.count("\n") == 1
    assert "cannot write" in found.stderr and "checkpoint.pt" in found.stderr
    assert not list((tmp_path / "run").glob(".*"))


def test_a_file_in_the_place_of_a_run_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for resume in (False, True):
        with pytest.raises(LongtailError, match="is a file"):
            train_model("digits-lt", "ce", out=tmp_path / "file", resume=resume)


def test_an_unknown_word_in_python_offers_the_nearest_field_or_option():
    with pytest.raises(LongtailError, match="did you mean 'epochs'"):
        recipe_for("digits-lt", epocs=3)


def test_what_a_stage_does_not_train_computes_as_when_tested_unless_it_adapts(tmp_path, monkeypatch):
    from longtail.methods.ce import CrossEntropy

    stages = [
        Stage("a", 0.4),
        Stage("b", 0.3, trains=("cls",)),
        Stage("c", 0.3, trains=("cls",), updates_batch_norm=("encoders",)),
    ]
    forward, seen = CrossEntropy.forward, {}

    def watch(self, batch):
        norm = next(m for m in self.encoders.modules() if isinstance(m, torch.nn.BatchNorm2d))
        seen.setdefault(self.stage, (self.encoders.training, norm.running_mean.clone()))
        return forward(self, batch)

    monkeypatch.setattr(CrossEntropy, "stages", lambda self: stages)
    monkeypatch.setattr(CrossEntropy, "forward", watch)
    model = train_model("digits-lt", "ce", out=tmp_path / "run", epochs=3, eval_every=1)
    assert [seen[name][0] for name in "abc"] == [True, False, True]
    norm = next(m for m in model.method.encoders.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert torch.equal(seen["b"][1], seen["c"][1]) and not torch.equal(seen["c"][1], norm.running_mean)


def test_a_stage_may_have_its_own_learning_rate_and_weight_decay(tmp_path, monkeypatch):
    from longtail.methods.ce import CrossEntropy

    loop, made = sys.modules["longtail.trainer"], []
    step = loop.Step

    def note(method, parameters, recipe, views, world):
        made.append((recipe.lr, recipe.weight_decay))
        return step(method, parameters, recipe, views, world)

    monkeypatch.setattr(loop, "Step", note)
    monkeypatch.setattr(CrossEntropy, "stages", lambda self: [Stage("a"), Stage("b", lr=0.03, weight_decay=0.0)])
    train_model("digits-lt", "ce", out=tmp_path / "run", epochs=2, lr=0.1, weight_decay=0.01, device="cpu")
    assert made == [(0.1, 0.01), (0.03, 0.0)]


def test_a_post_hoc_stage_sees_every_training_image_once_as_it_is_tested(tmp_path, monkeypatch):
    from longtail.methods.ce import CrossEntropy

    def look(self, stage, batches):
        assert stage.name == self.stage == "after" and not self.training and not torch.is_grad_enabled()
        found = list(batches)
        y, index = torch.cat([b.y for b in found]), torch.cat([b.index for b in found])
        assert torch.equal(index, torch.arange(len(index))) and torch.bincount(y).tolist() == list(self.counts)
        self.cls.bias.copy_(self.logits(found[0].views[0])[0, 0])

    monkeypatch.setattr(CrossEntropy, "stages", lambda self: [Stage("train"), Stage("after", 0.0)])
    monkeypatch.setattr(CrossEntropy, "post_hoc", look)
    model = train_model("digits-lt", "ce", out=tmp_path / "run", epochs=1)
    split = longtail.data.load_split("digits-lt", 50)
    z = model.logits(split.train.images[:1])[0, 0]
    bias = model.method.cls.bias[0].clone()
    with torch.no_grad():
        model.method.cls.bias.zero_()
        before = model.logits(split.train.images[:1])[0, 0]
    assert torch.allclose(z - bias, before, atol=1e-5) and len(bias.unique()) == 10


@pytest.mark.parametrize(
    "wrong, line",
    [
        ({"root": 3}, "root is 3; it takes the path"),
        ({"workers": "2"}, "workers is '2'; it must be a number"),
        ({"recipe": 3}, "unknown recipe '3'"),
        ({"val": 3}, "val is 3; it takes str"),
        ({"weights": 3}, "weights is 3; it takes str"),
    ],
)
def test_an_argument_of_another_type_is_one_clear_line(wrong, line, tmp_path):
    with pytest.raises(LongtailError, match=line):
        train_model("digits-lt", "ce", out=tmp_path / "run", **wrong)
    assert not (tmp_path / "run").exists()

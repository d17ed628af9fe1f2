"""What `Stage` and `Method` promise to the author of a method: samplers, rates, `begin_epoch`, and classes as methods."""

import csv
from collections import Counter

import pytest
import torch

import longtail
from longtail import LongtailError, evaluate, methods
from longtail.augment import get_transform_set
from longtail.data import load_split
from longtail.launch import train as run_training
from longtail.losses import cross_entropy
from longtail.methods import Classifier, Stage
from longtail.nets import Net
from longtail.recipes import recipe_for
from longtail.step import Step
from longtail.testing import COUNTS, make_split
from tests.dying import KillAt, Killed
from tests.test_step import batch


class Plain(Classifier):
    """Cross-entropy that records the labels of every step."""

    def __init__(self, counts, net):
        super().__init__(counts, net)
        self.seen = []

    def forward(self, batch):
        self.seen.append(batch.y.clone())
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}


def train(method, path, **changes):
    return longtail.train("digits-lt", method, out=path, eval_every=0, **{"epochs": 1, **changes})


def rarest_only(labels, counts, generator):
    """Draw every image of an epoch from the rarest class."""
    rarest = torch.tensor(counts).argmin()
    images = (labels == rarest).nonzero().squeeze(1)
    return images[torch.randint(len(images), (len(labels),), generator=generator)]


def test_a_sampler_may_be_a_function(tmp_path):
    seen, rarest = [], []

    class Sampled(Plain):
        def stages(self):
            return [Stage("train", samplers=("instance", rarest_only))]

        def forward(self, natural, rare):
            seen.append(natural.y.clone())
            rarest.append(rare.y.clone())
            return super().forward(natural)

    model = train(Sampled, tmp_path / "run")
    smallest = model.train_counts.index(min(model.train_counts))
    assert (torch.cat(rarest) == smallest).all()
    counted = Counter(torch.cat(seen).tolist())  # the last images, too few for a batch, are not used in an epoch
    assert set(counted) == set(range(10)) and all(counted[c] <= n for c, n in enumerate(model.train_counts))


class Grouped(Plain):
    """Encoder and head in groups with separate rates."""

    groups = ({}, {})

    def parameter_groups(self, stage):
        encoder, head = self.groups
        return [{"params": self.encoders.parameters(), **encoder}, {"params": self.cls.parameters(), **head}]


def move_one_step(encoder: dict, head: dict) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return the weights before a step of SGD at rate 0.5 and how far the step moves them; 3 tensors of each group."""
    recipe = recipe_for("digits-lt", method="ce", lr=0.5, weight_decay=0.0, momentum=0.0, nesterov=False, warmup=0.0)
    torch.manual_seed(0)
    method = Grouped(COUNTS, Net("conv4"))
    method.groups = (encoder, head)
    stage = method.stages()[0]
    method.enter(stage)
    step = Step(method, method.parameter_groups(stage), recipe, get_transform_set(recipe.views))
    before = [p.detach().clone() for p in method.parameters()]
    step([batch(0)], 0.0)
    return before, [p.detach() - b for p, b in zip(method.parameters(), before, strict=True)]


def test_each_group_of_parameters_moves_at_its_rate_and_decay():
    heads = 2  # weight and bias of the head are the last two parameters
    before, plain = move_one_step({}, {})
    _, scaled = move_one_step({"lr_scale": 0.25}, {"weight_decay": 0.1})
    assert all(m.any() for m in plain)
    for m, s in zip(plain[:-heads], scaled[:-heads], strict=True):
        assert torch.allclose(s, 0.25 * m, rtol=1e-4, atol=1e-6)
    for w, m, s in zip(before[-heads:], plain[-heads:], scaled[-heads:], strict=True):
        assert torch.allclose(s, m - 0.5 * 0.1 * w, rtol=1e-4, atol=1e-6)


def test_the_scale_of_a_stage_multiplies_the_learning_rate_of_the_recipe(tmp_path):
    class Slow(Plain):
        def stages(self):
            return [Stage("train", lr_scale=0.25)]

    slow, plain = train(Slow, tmp_path / "slow", lr=0.4), train(Plain, tmp_path / "plain", lr=0.1)
    rates = [csv_rows(tmp_path / name)[0]["lr"] for name in ("slow", "plain")]
    assert rates[0] == rates[1]
    expected = plain.method.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in slow.method.state_dict().items())


def csv_rows(run) -> list[dict[str, str]]:
    with (run / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_begin_epoch_comes_before_every_epoch_in_evaluation_mode_and_reads_images_only_when_asked(
    tmp_path, monkeypatch
):
    chunks, calls, labels, steps = [], [], [], []
    iterate = evaluate.iterate_inputs
    monkeypatch.setattr(evaluate, "iterate_inputs", lambda *a: (chunks.append(1) or pixels for pixels in iterate(*a)))

    class Prepared(Plain):
        def begin_epoch(self, batches):
            calls.append((len(steps), self.training, torch.is_grad_enabled(), len(chunks)))
            if len(calls) == 3:  # the first two epochs read nothing
                for batch in batches:
                    assert len(batch.views) == 1 and batch.views[0].dtype == torch.float32
                    labels.append(batch.y)
                calls.append(("images read", len(chunks) > 0))

        def forward(self, batch):
            assert self.training and torch.is_grad_enabled()
            steps.append(1)
            return super().forward(batch)

    train(Prepared, tmp_path / "run", epochs=3)
    per_epoch = len(steps) // 3
    assert calls[:3] == [(per_epoch * epoch, False, False, 0) for epoch in range(3)] and calls[3:] == [
        ("images read", True)
    ]
    assert torch.equal(torch.cat(labels), load_split("digits-lt", 50.0).train.labels)  # every image once, in order


def test_a_class_is_trained_and_loaded_again_by_name_or_by_class(tmp_path, monkeypatch):
    class Local(Plain):  # no process can import a class inside a function
        pass

    model = train(Local, tmp_path / "run")
    x = make_split().test.images
    assert model.recipe.method.endswith("<locals>.Local") and model.logits(x).shape == (1, len(x), 10)
    assert torch.equal(longtail.load(tmp_path / "run").logits(x), model.logits(x))
    monkeypatch.setattr(methods.lookup, "_CLASSES", {})  # as in another process
    with pytest.raises(LongtailError, match=r"does not load .*pass its class as method="):
        longtail.load(tmp_path / "run")
    assert torch.equal(longtail.load(tmp_path / "run", method=Local).logits(x), model.logits(x))


@pytest.mark.parametrize(
    "method, message",
    [
        ("nosuch.module:Class", r"method 'nosuch.module:Class' does not load \(ModuleNotFoundError: No module named"),
        ("longtail.methods.ce:Absent", r"method 'longtail.methods.ce:Absent' does not load \(AttributeError"),
        ("longtail.nets:Net", "method 'longtail.nets:Net' is no subclass of longtail.methods.Method"),
        (torch.nn.Linear, "it takes a name of `longtail methods` or a subclass of Method"),
        ("ec", "unknown method 'ec'; did you mean 'ecl'"),
    ],
)
def test_a_method_that_cannot_be_used_is_one_clear_line(method, message, tmp_path):
    with pytest.raises(LongtailError, match=message) as refused:
        train(method, tmp_path / "run")
    assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()


class Forwards(Classifier):
    """The shortest method: only `forward` is written."""

    def forward(self, batch):
        return {"ce": cross_entropy(self.logits(batch.views[0]), batch.y).mean()}


def test_a_method_that_writes_only_forward_trains(tmp_path):
    assert train(Forwards, tmp_path / "run").recipe.options == {}


@pytest.mark.parametrize(
    "found, message",
    [
        (None, "returned NoneType; it must return a dict of loss terms"),
        ({}, "returned dict"),
        (torch.zeros(()), "returned Tensor"),
        ({"ce": 0.5}, "returned \\['float \\(\\)'\\]"),
        ({"ce": torch.zeros(8)}, "returned \\['Tensor \\(8,\\)'\\]"),
        ({"ce": torch.zeros(())}, "no loss term of Wrong depends on its parameters"),
    ],
)
def test_a_forward_pass_that_returns_no_loss_terms_is_one_clear_line(found, message, tmp_path):
    class Wrong(Forwards):
        def forward(self, batch):
            return found

    with pytest.raises(LongtailError, match=message):
        train(Wrong, tmp_path / "run")


def test_a_method_with_unknown_views_is_one_clear_line(tmp_path):
    class Looking(Forwards):
        views = ("storng",)

    with pytest.raises(LongtailError, match=r"unknown view of .*'storng'; did you mean 'strong'"):
        train(Looking, tmp_path / "run")


class Notes(KillAt):
    """Collects notes, and kills the run in an epoch."""

    def __init__(self, epoch):
        super().__init__(epoch)
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.mark.parametrize("is_changed", [False, True])
def test_a_method_that_was_changed_before_resuming_is_noted(is_changed, tmp_path, monkeypatch):
    code = "from longtail.methods.bc import BalancedClassifier\n\n\nclass Own(BalancedClassifier):\n    pass\n"
    name = f"own_method_{is_changed}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    recipe = recipe_for("digits-lt", method=f"{name}:Own", epochs=2, eval_every=0)
    with pytest.raises(Killed):
        run_training(recipe, tmp_path / "run", Notes(2))
    if is_changed:
        (tmp_path / f"{name}.py").write_text(code + "# changed\n")
    report = Notes(99)
    run_training(recipe, tmp_path / "run", report, resume=True)
    assert any(f"the file of {name}:Own was changed after" in note for note in report.notes) == is_changed

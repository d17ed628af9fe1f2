"""Networks of timm have known sizes, run like ours, start from weights files, and are refused in one line."""

import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from longtail import LongtailError, nets
from longtail.nets import timm_backbone as module
from longtail.nets.timm_backbone import build_backbone, pretrained_config

timm = pytest.importorskip("timm")


@pytest.mark.parametrize(
    "name, parameters, width", [("resnet50", 23_508_032, 2048), ("resnext50_32x4d", 22_979_904, 2048)]
)
def test_the_papers_networks_have_their_parameters_without_head(name, parameters, width):
    with torch.device("meta"):
        body = build_backbone(name, 224)
    assert sum(p.numel() for p in body.parameters()) == parameters
    assert nets.Net(name, size=224).feature_dim == width


def test_no_name_is_both_one_of_our_networks_and_one_of_timm():
    assert not [name for name in nets.NETS if pretrained_config(name)]


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
@pytest.mark.parametrize("half", [False, True])
def test_a_network_of_timm_gives_pooled_float32_features_and_gradients_to_all_its_parameters(name, half):
    net = nets.Net(name, half=half, size=64)
    encoder = net.encoder()
    v = encoder(torch.randn(4, 3, 64, 64))
    assert v.shape == (4, net.feature_dim) and v.dtype == torch.float32
    v.square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in encoder.parameters())


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_efficientnet"])
def test_folding_batch_norm_changes_no_feature_of_a_network_whether_it_can_be_traced_or_not(name):
    torch.manual_seed(0)
    experts = nets.Experts(nets.Net(name, size=64).encoder, 2)
    x = torch.randn(4, 3, 64, 64)
    experts(x)
    experts.eval()
    with torch.no_grad():
        plain = experts(x)
        with nets.fused_conv_bn(experts):
            assert torch.allclose(experts(x), plain, rtol=1e-4, atol=1e-5)


def test_a_body_whose_tracing_raises_an_unusual_error_is_evaluated_unfolded():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn = nn.BatchNorm2d(3)

        def forward(self, x):
            return self.bn(x).mean((2, 3)) if int(x.shape[0]) else x  # a proxy is no number

    encoder = nets.Encoder(Odd(), half=False).eval()
    with nets.fused_conv_bn(encoder):
        assert isinstance(encoder.body, Odd)


def test_experts_are_separate_networks_and_a_momentum_copy_follows_them():
    experts = nets.Experts(nets.Net("test_resnet", size=64).encoder, 2)
    first, second = (list(e.parameters()) for e in experts.experts)
    assert not torch.equal(first[0], second[0])
    key = nets.MomentumCopy(0.5, experts)
    with torch.no_grad():
        for p in experts.parameters():
            p.add_(1.0)
    key.update(experts)
    gap = [s - c for c, s in zip(key.parameters(), experts.parameters(), strict=True)]
    assert all(torch.allclose(g, torch.full_like(g, 0.5), atol=1e-5) for g in gap)


def test_computing_the_feature_dimension_draws_no_random_numbers():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    module.compute_feature_dim.__wrapped__("test_vit", 48)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "name, message",
    [
        ("resnet23", "did you mean 'resnet32' or 'resnet"),
        ("vit_smal_patch16_224", "'vit_small_patch16_224'"),
        ("resnet50.no_such_weights", "unknown net 'resnet50.no_such_weights'"),
        ("hf-hub:someone/model", "unknown net 'hf-hub:someone/model'"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_names_of_ours_and_of_timm(name, message):
    with pytest.raises(LongtailError, match=message) as refused:
        nets.Net(name)
    assert "timm.list_models()" in str(refused.value) and len(str(refused.value)) < 400


def test_a_size_that_a_transformer_cannot_take_is_refused_with_the_default_size():
    with pytest.raises(LongtailError, match=r"test_vit does not take images of 60 x 60 .*its default --size is 160"):
        nets.Net("test_vit", size=60)
    assert nets.Net("test_vit", size=64).encoder()(torch.randn(1, 3, 64, 64)).shape == (1, 64)


@pytest.fixture
def trained(tmp_path):
    """Save a tiny ResNet with a head of 10 classes as safetensors and as a wrapped torch file."""
    model = timm.create_model("test_resnet", num_classes=10)
    save_file(model.state_dict(), tmp_path / "a.safetensors")
    wrapped = {"epoch": 3, "state_dict": {f"module.{name}": value for name, value in model.state_dict().items()}}
    torch.save(wrapped, tmp_path / "a.pth")
    return model, tmp_path


@pytest.mark.parametrize("file", ["a.safetensors", "a.pth"])
def test_every_expert_starts_from_the_weights_of_a_file_without_its_head(trained, file):
    model, folder = trained
    net = nets.Net("test_resnet", size=64, weights=str(folder / file))
    for encoder in (net.encoder(), net.encoder()):
        state = encoder.body.state_dict()
        assert all(torch.equal(value, model.state_dict()[name]) for name, value in state.items())


def test_our_networks_start_from_a_file_too(tmp_path):
    source = nets.Net("resnet8").encoder().body
    save_file({name: value.contiguous() for name, value in source.state_dict().items()}, tmp_path / "ours.safetensors")
    body = nets.Net("resnet8", weights=str(tmp_path / "ours.safetensors")).encoder().body
    assert all(torch.equal(a, b) for a, b in zip(source.parameters(), body.parameters(), strict=True))
    branched = nets.Net("resnet8", weights=str(tmp_path / "ours.safetensors")).branched(2, "last block").eval()
    x = torch.randn(2, 3, 32, 32)
    assert torch.allclose(branched(x), source.eval()(x).expand(2, -1, -1), atol=1e-6)


def test_position_embeddings_of_another_size_are_resampled(tmp_path):
    save_file(timm.create_model("test_vit", img_size=160).state_dict(), tmp_path / "vit.safetensors")
    body = nets.Net("test_vit", size=64, weights=str(tmp_path / "vit.safetensors")).encoder().body
    assert body.pos_embed.shape[1] == 4 * 4 + 1 and body.pos_embed.abs().sum() > 0


class Evil:
    def __reduce__(self):
        return print, ("code of the file was run",)


def test_weights_that_do_not_fit_or_are_no_weights_are_refused_in_one_line(trained, capsys):
    _, folder = trained
    save_file(timm.create_model("test_vit").state_dict(), folder / "another.safetensors")
    (folder / "evil.pth").write_bytes(pickle.dumps(Evil()))
    (folder / "text.safetensors").write_text("no tensors")
    torch.save([1, 2], folder / "list.pth")
    messages = {
        "another.safetensors": r"do not fit test_resnet: of \d+ tensors .*missing \(first",
        "evil.pth": r"neither safetensors nor a plain torch state dict \(names and tensors\), or are damaged$",
        "text.safetensors": r"neither safetensors nor a plain torch state dict \(names and tensors\), or are damaged$",
        "list.pth": "hold no state dict",
        "absent.pth": "are not there",
    }
    for file, message in messages.items():
        with pytest.raises(LongtailError, match=message) as refused:
            nets.Net("test_resnet", size=64, weights=str(folder / file)).encoder()
        assert "\n" not in str(refused.value)
    assert "code of the file" not in capsys.readouterr().out


def test_weights_of_a_deeper_network_are_refused_although_every_expected_tensor_is_there(tmp_path):
    deep = nets.Net("resnet14").encoder().body.state_dict()
    save_file({name: value.contiguous() for name, value in deep.items()}, tmp_path / "deep.safetensors")
    with pytest.raises(LongtailError, match=r"do not fit resnet8: .* unknown \(first stages"):
        nets.Net("resnet8", weights=str(tmp_path / "deep.safetensors")).encoder()


def test_timm_weights_without_internet_are_refused_in_one_line(monkeypatch):
    def fail(*args, **options):
        raise OSError("Name or service\nnot known")

    net = nets.Net("test_resnet", size=64, weights="timm")
    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(
        LongtailError,
        match=r"weights of test_resnet \(OSError: Name or service not known\); --weights takes a local file",
    ):
        net.encoder()
    with pytest.raises(LongtailError, match="resnet32, a network of longtail"):
        nets.Net("resnet32", weights="timm")

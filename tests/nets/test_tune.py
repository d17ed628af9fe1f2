"""Light tuning: networks start unchanged, few parameters train, and LoRA is that of the formula and of peft."""

import copy

import pytest
import torch
from timm.models import Beit, Eva, SwinTransformer, VisionTransformer
from torch import nn

from longtail import LongtailError
from longtail.nets import Experts, MomentumCopy, Net, merge_lora
from longtail.nets.timm_backbone import build_backbone
from longtail.nets.tune import compute_bottleneck, list_blocks, list_choices, prepare_tuning

# small networks of every kind of block
SMALL = {
    "vit": lambda: VisionTransformer(img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=2, num_classes=0),
    "eva": lambda: Eva(
        img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=2, num_classes=0, use_rot_pos_emb=True
    ),
    "beit": lambda: Beit(img_size=32, patch_size=8, embed_dim=48, depth=2, num_heads=2, num_classes=0, qkv_bias=True),
    "swin": lambda: SwinTransformer(
        img_size=32, patch_size=2, window_size=4, embed_dim=16, depths=(1, 1), num_heads=(2, 2), num_classes=0
    ),
    "efficientnet": lambda: build_backbone("test_efficientnet", 32),
}
LIGHT = ("heads", "norm", "bias", "adaptformer", "lora")
SIZE = 32


def build(name: str, kind: str | None = None, classes: int = 100) -> nn.Module:
    """A small body of timm with random weights, the same for every kind of tuning."""
    torch.manual_seed(0)
    body = SMALL[name]()
    if kind:
        prepare_tuning(body, name, kind, classes)
    return body.eval()


def fill_updates(body: nn.Module) -> None:
    """Give the added layers values, as training does: all begin as zero."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in body.named_parameters():
            if parameter.requires_grad and ".up" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)


@pytest.mark.parametrize("name", SMALL)
def test_every_kind_starts_with_the_networks_features_bit_for_bit(name):
    x, plain = torch.randn(2, 3, SIZE, SIZE), build(name)
    with torch.no_grad():
        for kind in list_choices(plain):
            assert torch.equal(build(name, kind)(x), plain(x)), kind


@pytest.mark.parametrize("kind", ["adaptformer", "lora"])
def test_half_precision_starts_with_the_networks_features_bit_for_bit(kind):
    x = torch.randn(2, 3, SIZE, SIZE)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(build("vit", kind)(x), build("vit")(x))


@pytest.mark.parametrize("kind", ["adaptformer", "lora"])
@pytest.mark.parametrize("name", ["vit", "eva", "beit", "swin"])
def test_added_layers_take_part_also_where_a_block_reads_the_weight_itself(name, kind):
    body, x = build(name, kind), torch.randn(2, 3, SIZE, SIZE)
    before = body(x)
    fill_updates(body)
    assert not torch.allclose(before, body(x), atol=1e-4)
    body(x).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in body.parameters() if p.requires_grad)


def test_adapters_have_the_width_of_their_stage():
    widths = [block.mlp.adapter.down.in_features for block in list_blocks(build("swin", "adaptformer"))]
    assert widths == [16, 32]


@pytest.mark.parametrize(
    "classes, blocks, expected", [(1000, 12, 32), (365, 12, 8), (8142, 12, 256), (100, 12, 4), (10, 12, 1)]
)
def test_the_bottleneck_follows_the_rule_of_lift(classes, blocks, expected):
    assert compute_bottleneck(classes, blocks) == expected


@pytest.mark.parametrize("kind", LIGHT)
@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_small_patch16_224"])
def test_light_tuning_of_a_vit_trains_under_two_percent_of_its_parameters(name, kind):
    with torch.device("meta"):
        body = build_backbone(name, 224)
        total = sum(p.numel() for p in body.parameters())
        prepare_tuning(body, name, kind, 100)
    trained = sum(p.numel() for p in body.parameters() if p.requires_grad)
    assert trained < 0.02 * total and (trained > 0) == (kind != "heads")


def test_the_numbers_of_adaptformer_and_lora_are_those_of_their_formulas():
    for kind, each in (("adaptformer", 2 * 192 * 4 + 4 + 192 + 1), ("lora", 4 * (192 + 3 * 192))):
        with torch.device("meta"):
            body = build_backbone("vit_tiny_patch16_224", 224)
            prepare_tuning(body, "vit_tiny_patch16_224", kind, 100)
        assert sum(p.numel() for p in body.parameters() if p.requires_grad) == 12 * each


@pytest.mark.parametrize("kind", ["norm", "bias"])
def test_norm_and_bias_train_their_parameters_and_no_other(kind):
    body = build("efficientnet", kind)
    chosen = {id(p) for p in body.parameters() if p.requires_grad}
    norms = {id(p) for m in body.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    biases = {id(p) for name, p in body.named_parameters() if name.endswith(".bias")}
    assert chosen == {"norm": norms, "bias": biases}[kind]


def test_lora_is_the_formula_and_merging_changes_nothing():
    body = build("vit", "lora").double()
    fill_updates(body)
    plain, x = build("vit").double(), torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64)
    for ours, theirs in zip(list_blocks(body), list_blocks(plain), strict=True):
        update = ours.attn.qkv.parametrizations.weight[0]
        rank = compute_bottleneck(100, 2)
        assert update.up.shape == (144, rank) and update.down.shape == (rank, 48)
        with torch.no_grad():
            theirs.attn.qkv.weight += update.up @ update.down / rank
    merged = copy.deepcopy(body)
    merge_lora(merged)
    with torch.no_grad():
        expected = plain(x)
        assert torch.allclose(body(x), expected, rtol=1e-12) and torch.allclose(merged(x), expected, rtol=1e-12)
    assert merged.state_dict().keys() == plain.state_dict().keys()


def test_lora_is_that_of_peft():
    peft = pytest.importorskip("peft", reason="needs peft, an oracle that only this test uses: pip install peft")
    body = build("vit", "lora").double()
    fill_updates(body)
    rank = compute_bottleneck(100, 2)
    config = peft.LoraConfig(r=rank, lora_alpha=1, target_modules=["qkv"])
    theirs = peft.get_peft_model(build("vit").double(), config).eval()
    updates = [block.attn.qkv.parametrizations.weight[0] for block in list_blocks(body)]
    layers = [m for m in theirs.modules() if isinstance(m, peft.tuners.lora.Linear)]
    with torch.no_grad():
        for layer, update in zip(layers, updates, strict=True):
            layer.lora_A["default"].weight.copy_(update.down)
            layer.lora_B["default"].weight.copy_(update.up)
        x = torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64)
        assert torch.allclose(body(x), theirs(x), rtol=1e-10)
    x = torch.randn(2, 3, SIZE, SIZE, dtype=torch.float64)
    for network in (body, theirs):
        network(x).square().sum().backward()
    for layer, update in zip(layers, updates, strict=True):
        assert torch.allclose(update.down.grad, layer.lora_A["default"].weight.grad, rtol=1e-8)
        assert torch.allclose(update.up.grad, layer.lora_B["default"].weight.grad, rtol=1e-8)


@pytest.mark.parametrize("kind", LIGHT)
def test_only_what_a_kind_trains_gets_a_gradient_and_all_of_it_does(kind):
    encoder = Net("test_vit", size=SIZE, tune=kind, classes=100).encoder()
    v = encoder(torch.randn(2, 3, SIZE, SIZE))
    assert v.requires_grad == (kind != "heads")
    if kind == "heads":
        return
    fill_updates(encoder)  # a zero up-projection passes nothing on to the layer below
    encoder(torch.randn(2, 3, SIZE, SIZE)).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.grad is None or parameter.grad.abs().sum() > 0 or name.endswith("adapter.down.bias"), name


def saved_bytes(kind: str) -> int:
    """The bytes of activations that a forward pass keeps for the backward pass; parameters do not count."""
    encoder = Net("test_vit", size=SIZE, tune=kind, classes=100).encoder()
    own, kept = {p.data_ptr() for p in encoder.parameters()}, {}

    def pack(tensor):
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        encoder(torch.randn(8, 3, SIZE, SIZE)).sum()
    return sum(kept.values())


def test_a_frozen_encoder_keeps_no_activation_and_light_tuning_fewer_than_full_training():
    assert saved_bytes("heads") == 0
    assert max(map(saved_bytes, ("bias", "adaptformer", "lora"))) < saved_bytes("all")


@pytest.mark.parametrize("kind", ["heads", "norm", "bias"])
def test_the_body_of_a_lightly_tuned_network_stays_in_evaluation_mode_also_in_experts_and_copies(kind):
    experts = Experts(Net("test_efficientnet", size=SIZE, tune=kind).encoder, 2)
    copied = MomentumCopy(0.9, experts)
    before = {name: value.clone() for name, value in experts.named_buffers()}
    for module in (experts.train(), copied.train()):
        module(torch.randn(2, 3, SIZE, SIZE))
    assert all(torch.equal(value, before[name]) for name, value in experts.named_buffers())
    assert all(torch.equal(value, before[name]) for name, value in copied.copy[0].named_buffers())


def test_batch_norm_of_a_network_that_trains_whole_follows_its_batches():
    encoder = Net("test_efficientnet", size=SIZE, tune="all").encoder().train()
    before = {name: value.clone() for name, value in encoder.named_buffers()}
    encoder(torch.randn(2, 3, SIZE, SIZE))
    assert not all(torch.equal(value, before[name]) for name, value in encoder.named_buffers())


@pytest.mark.parametrize(
    "name, kind, message",
    [
        ("test_efficientnet", "lora", r"needs transformer blocks.*--tune takes here heads, norm, bias, all"),
        ("convnext_atto", "adaptformer", r"needs transformer blocks.*--tune takes here heads, norm, bias, all"),
        ("mixer_s32_224", "lora", "needs transformer blocks"),
        ("nfnet_l0", "norm", "needs norm parameters.*takes here heads, bias, all"),
        ("resnet32", "norm", "one of longtail; choose another --net"),
    ],
)
def test_a_kind_that_a_network_has_nothing_for_is_refused_in_one_line_that_says_what_it_has(name, kind, message):
    with pytest.raises(LongtailError, match=message) as refused:
        Net(name, tune=kind)
    assert "\n" not in str(refused.value)

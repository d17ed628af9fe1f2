"""Networks have the sizes of the papers, and K together compute what K separate ones do."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import linear, normalize

from longtail import LongtailError, nets


def count(module: nn.Module) -> int:
    """Count the parameters of a module."""
    return sum(p.numel() for p in module.parameters())


def test_resnet32_has_463_504_parameters_and_64_features():
    net = nets.Net("resnet32")
    encoder = net.encoder()
    assert count(encoder) == 463_504
    assert encoder(torch.randn(2, 3, 32, 32)).shape == (2, net.feature_dim) == (2, 64)


def test_resnet32_has_31_convolutions_and_halves_twice_without_a_convolution_in_the_shortcut():
    encoder = nets.Net("resnet32").encoder()
    convolutions = [m for m in encoder.modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 31 and all(m.kernel_size == (3, 3) and m.bias is None for m in convolutions)
    sizes = []
    for stage in encoder.body.stages:
        stage.register_forward_hook(lambda m, i, o: sizes.append(tuple(o.shape[1:])))
    encoder(torch.randn(1, 3, 32, 32))
    assert sizes == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]


def test_shortcut_a_skips_pixels_and_pads_channels_with_zeros():
    from longtail.nets.resnet_cifar import Block

    block = Block(4, 8, 2).eval()
    nn.init.zeros_(block.bn2.weight)  # leaves the shortcut alone
    x = torch.rand(1, 4, 6, 6)
    y = block(x)
    assert torch.equal(y[:, 2:6], x[:, :, ::2, ::2]) and not y[:, :2].any() and not y[:, 6:].any()


def test_experts_together_compute_what_each_computes_alone():
    experts = nets.Experts(nets.Net("conv4").encoder, 3)
    x = torch.randn(4, 3, 8, 8)
    alone = torch.stack([copy.deepcopy(e)(x) for e in experts.experts])
    assert torch.equal(experts(x), alone) and alone.shape == (3, 4, 64)


def test_heads_compute_what_k_linear_layers_compute():
    heads, v = nets.Heads(3, 5, 7), torch.randn(3, 4, 5)
    separate = torch.stack([linear(v[k], heads.weight[k], heads.bias[k]) for k in range(3)])
    assert torch.allclose(heads(v), separate, atol=1e-6)
    torch.manual_seed(0)
    first = nn.Linear(5, 7)
    torch.manual_seed(0)
    assert torch.equal(nets.Heads(1, 5, 7).weight[0], first.weight)


def test_half_precision_stays_inside_the_encoder():
    net = nets.Net("conv4", half=True)
    encoder, x = net.encoder(), torch.randn(8, 3, 8, 8)
    v = encoder(x)
    assert v.dtype == torch.float32
    full = nets.Net("conv4").encoder()
    full.load_state_dict(encoder.state_dict())
    assert not torch.equal(full(x), v) and torch.allclose(full(x), v, atol=0.1)
    v.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in encoder.parameters())


def test_a_momentum_copy_begins_equal_and_moves_a_thousandth_of_the_way_without_gradient():
    source = nets.Experts(nets.Net("conv4").encoder, 2)
    key = nets.MomentumCopy(0.999, source)
    x = torch.randn(4, 3, 8, 8)
    assert torch.equal(key(x), source(x)) and not key(x).requires_grad
    before = [p.clone() for p in key.parameters()]
    with torch.no_grad():
        for p in source.parameters():
            p.add_(1.0)
    key.update(source)
    for p, b, s in zip(key.parameters(), before, source.parameters(), strict=True):
        assert torch.allclose(p, 0.999 * b + 0.001 * s, atol=1e-6)


def test_a_momentum_copy_does_not_take_the_running_statistics_of_its_source():
    source = nets.Net("conv4").encoder()
    key = nets.MomentumCopy(0.999, source)
    source(torch.randn(8, 3, 8, 8))
    mean = key.copy[0].body.layers[1].running_mean
    assert not mean.any()
    key.update(source)
    assert not mean.any()


@pytest.mark.parametrize("batch", [1, 3, 4, 7])
def test_a_queue_holds_the_last_keys_whatever_the_batch(batch):
    queue, pushed = nets.Queue(2, 5, 3), []
    for step in range(6):
        keys = torch.full((2, batch, 3), float(step)) + torch.arange(batch)[:, None] / 100
        queue.push(keys)
        pushed += [row[0].item() for row in keys[0]]
        held = sorted(row[0].item() for row in queue.keys[1])
        if len(pushed) >= 5:
            assert held == sorted(pushed[-5:])


def test_a_queue_begins_with_unit_vectors():
    keys = nets.Queue(3, 10, 8).keys
    assert torch.allclose(keys, normalize(keys, dim=-1))


def test_an_unknown_net_is_refused_with_the_nearest_name():
    with pytest.raises(LongtailError, match="did you mean 'resnet32'"):
        nets.Net("resnet23")


@pytest.mark.parametrize("name", ["conv4", "resnet8"])
def test_folding_batch_norm_changes_no_feature(name):
    torch.manual_seed(0)
    experts = nets.Experts(nets.Net(name).encoder, 2)
    for _ in range(5):
        experts(torch.randn(16, 3, 16, 16) * 3 + 1)  # running statistics that matter
    experts.eval()
    x, bodies = torch.randn(4, 3, 16, 16), [e.body for e in experts.experts]
    plain = experts(x)
    with nets.fused_conv_bn(experts):
        assert not any(isinstance(m, nn.BatchNorm2d) for m in experts.modules())
        assert torch.allclose(experts(x), plain, rtol=1e-4, atol=1e-4)
    assert [e.body for e in experts.experts] == bodies and torch.equal(experts(x), plain)


def test_cosine_heads_give_the_scaled_cosine_of_every_expert():
    torch.manual_seed(0)
    heads, v = nets.CosineHeads(2, 5, 3, scale=30.0), torch.randn(2, 4, 5)
    z = heads(v)
    for k in range(2):
        for i in range(4):
            for c in range(3):
                cosine = torch.nn.functional.cosine_similarity(v[k, i], heads.weight[k, c], dim=0)
                assert z[k, i, c].item() == pytest.approx(30 * cosine.item(), abs=1e-4)


def count_trunk_and_branch(depth: int, slim: bool, unshared: str) -> tuple[int, int]:
    """Count the weights of trunk and branch of a CIFAR ResNet from the papers: 3 x 3 convolutions and batch norm."""
    blocks, widths = (depth - 2) // 6, (16, 24, 48) if slim else (16, 32, 64)
    chain = [(3, 16)] + [
        (i, o) for w, v in zip((16, *widths), widths, strict=False) for i, o in list_convolutions(w, v, blocks)
    ]
    sizes = [9 * i * o + 2 * o for i, o in chain]
    last = {"last block": 2, "last stage": 2 * blocks, "two stages": 4 * blocks}[unshared]
    return sum(sizes[:-last]), sum(sizes[-last:])


def list_convolutions(inputs: int, outputs: int, blocks: int) -> list[tuple[int, int]]:
    """Return the channels into and out of each convolution of a stage."""
    return [(inputs, outputs)] + [(outputs, outputs)] * (2 * blocks - 1)


@pytest.mark.parametrize(
    "unshared, slim, width", [("two stages", True, 48), ("last stage", False, 64), ("last block", False, 64)]
)
@pytest.mark.parametrize("depth", [8, 32])
def test_branches_of_a_resnet_have_the_size_of_the_papers(depth, unshared, slim, width):
    encoder = nets.Net(f"resnet{depth}").branched(3, unshared, slim)
    trunk, branch = count_trunk_and_branch(depth, slim, unshared)
    assert count(encoder.body.trunk) == trunk and count(encoder) == trunk + 3 * branch
    assert encoder(torch.randn(2, 3, 32, 32)).shape == (3, 2, width)
    if not slim:  # one branch is the whole network
        assert trunk + branch == count(nets.Net(f"resnet{depth}").encoder())


@pytest.mark.parametrize("unshared", ["two stages", "last stage", "last block"])
@pytest.mark.parametrize("name", ["conv4", "resnet8"])
def test_a_network_of_one_branch_computes_what_the_undivided_one_does(name, unshared):
    torch.manual_seed(0)
    plain = nets.Net(name).encoder()
    torch.manual_seed(0)
    branched = nets.Net(name).branched(1, unshared)
    x = torch.randn(4, 3, 16, 16)
    assert torch.equal(branched(x)[0], plain(x))
    plain.eval(), branched.eval()
    with nets.fused_conv_bn(nn.ModuleList([branched])):
        assert not any(isinstance(m, nn.BatchNorm2d) for m in branched.modules())
        assert torch.allclose(branched(x)[0], plain(x), rtol=1e-4, atol=1e-4)


def test_branches_begin_with_different_weights():
    v = nets.Net("conv4").branched(2, "last block")(torch.randn(4, 3, 8, 8))
    assert not torch.allclose(v[0], v[1])


def test_a_net_that_cannot_be_divided_is_refused_with_the_names_of_nets_that_can():
    with pytest.raises(LongtailError, match=r"'test_resnet' cannot be divided .*; take conv4 or resnet8"):
        nets.Net("test_resnet").branched(2, "last block")


@pytest.mark.parametrize("batch", [1, 3, 7])
def test_a_labeled_queue_keeps_the_label_of_every_key(batch):
    queue = nets.LabeledQueue(1, 5, 3)
    assert (queue.labels == -1).all()
    for step in range(6):
        labels = torch.arange(batch) + step * batch
        queue.push(labels[None, :, None].expand(1, batch, 3), labels)
    assert torch.equal(queue.keys[0, :, 0], queue.labels.float())
    assert sorted(queue.labels.tolist()) == list(range(6 * batch))[-5:]


@pytest.mark.parametrize("name", ["conv4", "resnet8", "tf_efficientnet_lite0"])
def test_features_are_the_mean_over_pixels_of_the_maps(name):
    torch.manual_seed(0)
    encoder, x = nets.Net(name, size=32).encoder().eval(), torch.randn(2, 3, 32, 32)
    maps = encoder.maps(x)
    assert maps.dim() == 4 and maps.shape[:2] == (2, nets.Net(name, size=32).feature_dim) and not maps.requires_grad
    assert torch.allclose(maps.mean((2, 3)), encoder(x), rtol=1e-4, atol=1e-5)


def test_a_network_without_maps_says_so():
    with pytest.raises(LongtailError, match="no features for each pixel; take"):
        nets.Net("test_vit").encoder().maps(torch.randn(1, 3, 160, 160))


@pytest.mark.parametrize("leader", [False, True])
def test_with_a_leader_the_trunk_learns_from_the_first_branch_only_and_computes_the_same(leader):
    torch.manual_seed(0)
    encoder, x = nets.Net("conv4").branched(3, "last block", leader=leader), torch.randn(4, 3, 8, 8)
    v = encoder(x)
    trunk = encoder.body.trunk(x)
    assert torch.allclose(v, torch.stack([b(trunk).mean((2, 3)) for b in encoder.body.branches]), atol=1e-5)
    weight = encoder.body.trunk[0][0].weight
    for k in range(3):
        (gradient,) = torch.autograd.grad(v[k].square().sum(), weight, retain_graph=True)
        assert bool(gradient.any()) == (k == 0 or not leader)


def test_rows_of_one_process_are_complete_already():
    x = torch.randn(4, 2)
    assert nets.complete_rows(x) is x

"""How to run K experts: a loop (NCHW, channels last), vmap, grouped convolutions; forward and backward."""

import argparse
import copy
from functools import partial

import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state
from torch.nn.functional import batch_norm, conv2d, pad, relu

from benchmarks.harness import compare, count, save
from longtail.distributed import init_world
from longtail.nets import Net


def loop(bodies: list, x: Tensor) -> Tensor:
    """Run the experts one after another."""
    return torch.stack([body(x) for body in bodies])


class Vmapped:
    """All experts in one vmap call over stacked parameters; batch norm keeps no running statistics."""

    def __init__(self, bodies: list):
        self.skeleton = copy.deepcopy(bodies[0]).to("meta")
        for module in self.skeleton.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.track_running_stats, module.running_mean, module.running_var = False, None, None
                module.num_batches_tracked = None
        self.parameters, _ = stack_module_state(bodies)

    def __call__(self, x: Tensor) -> Tensor:
        return torch.vmap(lambda p: functional_call(self.skeleton, p, (x,)))(self.parameters)


class Grouped:
    """All experts as the groups of one network with grouped convolutions."""

    def __init__(self, bodies: list):
        self.k, self.body = len(bodies), bodies[0]
        named = [dict(b.named_parameters()) for b in bodies]
        joined = {name: torch.cat([n[name].detach() for n in named]) for name in named[0]}
        self.parameters = {name: p.requires_grad_() for name, p in joined.items()}

    def conv_bn(self, x: Tensor, conv: str, bn: str, stride: int) -> Tensor:
        p = self.parameters
        y = conv2d(x, p[f"{conv}.weight"], None, stride, 1, groups=self.k)
        return batch_norm(y, None, None, p[f"{bn}.weight"], p[f"{bn}.bias"], training=True)

    def __call__(self, x: Tensor) -> Tensor:
        n = len(x)
        x = relu(self.conv_bn(x.repeat(1, self.k, 1, 1), "conv1", "bn1", 1))
        for s, stage in enumerate(self.body.stages):
            for b, block in enumerate(stage):
                name = f"stages.{s}.{b}."
                y = relu(self.conv_bn(x, name + "conv1", name + "bn1", block.stride))
                y = self.conv_bn(y, name + "conv2", name + "bn2", 1)
                if block.stride > 1:
                    x = x[:, :, ::2, ::2].unflatten(1, (self.k, -1))
                    x = pad(x, (0, 0, 0, 0, block.extra, block.extra)).flatten(1, 2)
                x = relu(x + y)
        return x.mean((2, 3)).view(n, self.k, -1).transpose(0, 1)


def candidates(device: str, experts: int = 3) -> tuple[dict, dict]:
    """Return callables (N, 3, 32, 32) -> (K, N, d), and the parameters that each one differentiates."""
    torch.manual_seed(0)
    bodies = [Net("resnet32").encoder().body.to(device).train() for _ in range(experts)]
    nchw = [copy.deepcopy(b).to(memory_format=torch.contiguous_format) for b in bodies]
    vmapped, grouped = Vmapped(nchw), Grouped(nchw)
    calls = {
        "loop NCHW": lambda x: loop(nchw, x),
        "loop channels last": lambda x: loop(bodies, x.contiguous(memory_format=torch.channels_last)),
        "vmap": vmapped,
        "grouped": grouped,
    }
    trained = {
        "loop NCHW": [p for b in nchw for p in b.parameters()],
        "loop channels last": [p for b in bodies for p in b.parameters()],
        "vmap": list(vmapped.parameters.values()),
        "grouped": list(grouped.parameters.values()),
    }
    return calls, trained


def main(argv: list[str]) -> None:
    """Check that all candidates compute the same features, then time forward and backward."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks experts", description=__doc__)
    parser.add_argument("--rounds", type=count(), default=10)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    args = parser.parse_args(argv)
    args.device = init_world(args.device).device.type
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    calls, trained = candidates(args.device)
    x = torch.randn(64, 3, 32, 32, device=args.device)
    expected = calls["loop NCHW"](x)
    for name, call in calls.items():
        worst = (call(x) - expected).abs().max().item()
        assert worst < 1e-3 * expected.abs().max().item(), f"{name} differs by {worst}"

    def both(name: str) -> None:
        torch.autograd.grad(calls[name](x).square().mean(), trained[name])

    save(f"experts-{args.device}", compare({name: partial(both, name) for name in calls}, args.rounds))

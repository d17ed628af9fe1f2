"""A reference step of ECL in the style of the papers' public code: a loop over experts, eager, NCHW, small operations.

The reference computes the same losses as `longtail.methods.ecl` (Xu et al., IEEE TMM 2023).
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from longtail.methods.ecl import ECL
from longtail.nets.resnet_cifar import ResNetCifar


class PeerNet(nn.Module):
    """A copy of one of our ResNets, computed in the usual way: NCHW, every result a new tensor."""

    def __init__(self, body: ResNetCifar):
        super().__init__()
        self.body: Any = copy.deepcopy(body).to(memory_format=torch.contiguous_format)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.body.bn1(self.body.conv1(x)))
        for block in (block for stage in self.body.stages for block in stage):
            out = F.relu(block.bn1(block.conv1(x)))
            out = block.bn2(block.conv2(out))
            if block.stride > 1:
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, block.extra, block.extra))
            x = F.relu(out + x)
        return F.avg_pool2d(x, x.shape[3]).view(len(x), -1)


class PeerECL(nn.Module):
    """ECL with K experts in a list, K key networks and K queues, built with the weights of an `ECL`."""

    def __init__(self, method: ECL):
        super().__init__()
        experts: Any = method.encoders.experts
        projector: Any = method.projector
        self.encoders = nn.ModuleList(PeerNet(expert.body) for expert in experts)
        self.cls, self.ref = (nn.ModuleList(split_heads(heads)) for heads in (method.cls, method.ref))
        first, second = split_heads(projector[0]), split_heads(projector[2])
        self.projectors = nn.ModuleList(nn.Sequential(a, nn.ReLU(), b) for a, b in zip(first, second, strict=True))
        self.keys: Any = nn.ModuleList(
            nn.Sequential(copy.deepcopy(e), copy.deepcopy(p))
            for e, p in zip(self.encoders, self.projectors, strict=True)
        ).requires_grad_(False)
        self.queues = [keys.t().contiguous().clone() for keys in method.queue.keys]
        self.pointer, self.prior = 0, torch.tensor(method.counts, dtype=torch.float32, device=method.log_prior.device)

    def forward(self, a: Tensor, b: Tensor, y: Tensor) -> Tensor:
        features = [encoder(a) for encoder in self.encoders]
        cls = [head(v) for head, v in zip(self.cls, features, strict=True)]
        ref = [head(v) for head, v in zip(self.ref, features, strict=True)]
        experts, log_prior = len(cls), torch.log(self.prior / self.prior.sum()).unsqueeze(0)
        loss = torch.zeros((), device=a.device)
        for z in cls + ref:
            loss = loss + F.cross_entropy(z + log_prior.expand(len(y), -1), y) / experts
        for k in range(experts):
            for q in range(experts):
                if k != q:
                    weight = self.weight(cls[k], ref[k], y)
                    loss = loss + 0.6 * self.distil(cls[k], cls[q], weight) / (experts * (experts - 1))
                    loss = loss + 0.6 * self.distil(features[k], features[q], None) / (experts * (experts - 1))
        self.fresh: list[Tensor] = []
        for k in range(experts):
            loss = loss + self.contrast(k, features[k], b) / experts
        return loss

    def weight(self, cls: Tensor, ref: Tensor, y: Tensor) -> Tensor:
        with torch.no_grad():
            h_cls, h_ref = (F.cross_entropy(z / z.std(1, keepdim=True), y, reduction="none") for z in (cls, ref))
            return h_cls / torch.clamp(h_ref, min=1e-3)

    def distil(self, student: Tensor, teacher: Tensor, weight: Tensor | None) -> Tensor:
        p = F.softmax(teacher.detach(), dim=1)
        kl = torch.sum(F.kl_div(F.log_softmax(student, dim=1), p, reduction="none"), dim=1)
        return torch.mean(kl if weight is None else weight * kl)

    def contrast(self, k: int, v: Tensor, b: Tensor) -> Tensor:
        query = F.normalize(self.projectors[k](v), dim=1)
        with torch.no_grad():
            key = F.normalize(self.keys[k](b), dim=1)
        self.fresh.append(key)
        positive = torch.einsum("nc,nc->n", [query, key]).unsqueeze(-1)
        negative = torch.einsum("nc,ck->nk", [query, self.queues[k].clone().detach()])
        logits = torch.cat([positive, negative], dim=1) / 0.2
        return F.cross_entropy(logits, torch.zeros(len(v), dtype=torch.long, device=v.device))

    @torch.no_grad()
    def after_step(self) -> None:
        """Update the key networks parameter by parameter, then the queues."""
        for k, keys in enumerate(self.keys):
            for source, key in ((self.encoders[k], keys[0]), (self.projectors[k], keys[1])):
                for p, p_key in zip(source.parameters(), key.parameters(), strict=True):
                    p_key.data = p_key.data * 0.999 + p.data * (1.0 - 0.999)
            self.queues[k][:, self.pointer : self.pointer + len(self.fresh[k])] = self.fresh[k].t()
        self.pointer = (self.pointer + len(self.fresh[0])) % self.queues[0].shape[1]


def split_heads(heads: Any) -> list[nn.Linear]:
    """Return a stack of K heads as K linear layers."""
    layers = []
    device = heads.weight.device
    for weight, bias in zip(heads.weight.detach(), heads.bias.detach(), strict=True):
        layer = nn.Linear(weight.shape[1], weight.shape[0], device=device)
        layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
        layers.append(layer)
    return layers


class PeerStep:
    """A training step of the reference with a loop over parameters in SGD."""

    def __init__(self, model: PeerECL, lr: float, momentum: float, weight_decay: float):
        self.model = model
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(
            trained, lr, momentum=momentum, weight_decay=weight_decay, foreach=False, fused=False
        )

    def __call__(self, a: Tensor, b: Tensor, y: Tensor) -> float:
        loss = self.model(a, b, y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.model.after_step()
        return loss.item()  # the papers' code logs every step

"""Five methods against naive references, which were written from the sources before the methods were read.

The references are plain loops over images, classes and pairs in float64; autograd gives their gradients. Only inner
products are taken of whole vectors. Where a method draws, the reference is fed the same draws. Each docstring names the
source: a paper, or public code that was read at the commit named. No code was copied.
"""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from longtail import nets
from longtail.methods import Method
from longtail.nets import Encoder
from longtail.testing import COUNTS, build_method, enter_stage, make_batch, make_batches

LABELS = (0, 0, 3, 0, 1, 0, 2, 0, 1, 0, 3, 1, 0, 2, 1, 2)


@pytest.fixture(autouse=True)
def keep_float64(monkeypatch):
    """Encoders return float32 features; here they keep the float64 of their weights."""
    monkeypatch.setattr(Encoder, "compute", lambda self, x, branch: self.body(x))


def prepare(name: str, **options) -> Method:
    """Build a method on the tiny network in float64."""
    return build_method(name, **options).double()


def double(*batches):
    """Return batches with float64 views and progress, and with classes that are not equally frequent."""
    y = torch.tensor(LABELS)
    return [replace(b, views=[v.double() for v in b.views], y=y, progress=b.progress.double()) for b in batches]


def assert_equal_terms(method: Method, terms: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    """Compare every term, and its gradient with respect to every trained parameter."""
    assert terms.keys() == expected.keys()
    trained = [p for p in method.parameters() if p.requires_grad]
    for name, term in terms.items():
        assert term.item() == pytest.approx(expected[name].item(), rel=1e-6, abs=1e-12), name
        both = [torch.autograd.grad(t, trained, retain_graph=True, allow_unused=True) for t in (term, expected[name])]
        for ours, theirs in zip(*both, strict=True):
            zero = torch.zeros(())
            assert torch.allclose(zero if ours is None else ours, zero if theirs is None else theirs, atol=1e-9), name


def dot(a, b):
    """Return the inner product of two vectors."""
    return (a * b).sum()


def log_p(z, c: int):
    """Return entry c of the log softmax of a vector."""
    return z[c] - torch.log(torch.exp(z).sum())


def mean_ce(z, y):
    """Return the mean cross-entropy of logits z[i][c]."""
    return -sum(log_p(z[i], int(y[i])) for i in range(len(y))) / len(y)


def unit(v):
    """Return a vector divided by its length."""
    return v / torch.sqrt(dot(v, v))


# ACE ------------------------------------------------------------------------------------------------------------------


def ace_targets(counts, experts: int) -> list[set[int]]:
    """Return the classes of each expert: from rank floor(k C / K) on, by falling frequency (longtail's own rule)."""
    order = sorted(range(len(counts)), key=lambda c: -counts[c])
    return [set(order[k * len(counts) // experts :]) for k in range(experts)]


def ace_terms(z, y, counts) -> dict[str, Tensor]:
    """Return the terms of ACE for logits z[k][i][c], both times the share of the images that an expert sees.

    Source: winterxx/ACE @1e2b04d, a copy of the authors' code, lib/loss/loss.py (ResCELoss): CE of the images of an
    expert's classes, and the norm of their logits of other classes, over images and classes, divided by the classes.
    The share stands for the scaled learning rate, whose code is not in the copy (reading notes: linear scaling).
    """
    ce, suppress = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for k, own in enumerate(ace_targets(counts, len(z))):
        images = [i for i in range(len(y)) if int(y[i]) in own]
        outside = [c for c in range(len(counts)) if c not in own]
        rate = sum(counts[c] for c in own) / sum(counts)
        for i in images:
            ce = ce - rate * log_p(z[k][i], int(y[i])) / len(images)
        if outside:
            squares = sum(z[k][i][c] ** 2 for i in images for c in outside)
            suppress = suppress + rate * torch.sqrt(squares) / len(outside)
    return {"ce": ce, "suppress": suppress}


def ace_output(z, weights, counts) -> list[float]:
    """Return the combined logits of one image, z[k][c]: the mean over a class's experts of rescaled logits.

    The scale is the mean length of expert 1's weight vectors over that of the target classes' vectors of expert k
    (valid_model in lib/core/function.py).
    """
    targets, size, out = ace_targets(counts, len(z)), [], []
    for k, own in enumerate(targets):
        size.append(sum(math.sqrt(float(dot(weights[k][c], weights[k][c]))) for c in own) / len(own))
    for c in range(len(counts)):
        able = [k for k in range(len(z)) if c in targets[k]]
        out.append(sum(float(z[k][c]) * size[0] / size[k] for k in able) / len(able))
    return out


def test_ace_has_the_naive_terms_gradients_and_prediction():
    method = prepare("ace")
    (batch,) = double(make_batch(method))
    z = method.cls(method.encoders(batch.views[0]))
    assert_equal_terms(method, method(batch), ace_terms(z, batch.y, COUNTS))
    method.eval()
    with torch.no_grad():
        z, found = method.cls(method.encoders(batch.views[0])), method.logits(batch.views[0]).mean(0)
    for i in range(len(batch.y)):
        assert found[i].tolist() == pytest.approx(ace_output(z[:, i], method.cls.weight.detach(), COUNTS), rel=1e-9)


def test_ace_teaches_the_trunk_what_expert_one_alone_would():
    method = prepare("ace")
    (batch,) = double(make_batch(method))
    sum(method(batch).values()).backward()
    shared = nets.Net("conv4").branched(3, "last stage").double()
    shared.load_state_dict(method.encoders.state_dict())
    mean_ce(method.cls(shared(batch.views[0]))[0], batch.y).backward()
    for ours, theirs in zip(method.encoders.body.trunk.parameters(), shared.body.trunk.parameters(), strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-10)


# TDE + IDR ------------------------------------------------------------------------------------------------------------


def idr_difficulty(history, labels, c: float) -> list[float]:
    """Return the difficulty of each image after epochs with predictions p[i][j] (Yu et al. 2022, Eq. 4, 6, 7).

    Sources: reading notes of the paper (PSI, D_0 = 1, both directions sum to it) and sagar-250/Da5400_bonus_assignment
    @b083a7a, train_rebalance.py. Before the first epoch, p is uniform.
    """
    out = []
    for i, label in enumerate(labels):
        before, learned, unlearned = [1 / len(history[0][i])] * len(history[0][i]), 0.0, 0.0
        for p in history:
            for j in range(len(before)):
                gap = float(p[i][j]) - before[j]
                change = gap * math.log(float(p[i][j]) / before[j])
                if (gap > 0) == (j == label):
                    learned += change
                else:
                    unlearned += change
            before = [float(v) for v in p[i]]
        out.append((c + unlearned) / (c + learned))
    return out


def causal_logits(x, w, parts: int, tau: float, gamma: float, alpha: float = 0.0, mean=None) -> Tensor:
    """Return the logits of one image with features x (d,), without a mean those of training.

    Source: KaihuaTang/Long-Tailed-Recognition.pytorch @2e28976, classification/models/CausalNormClassifier.py.
    """
    out, width = [], len(x) // parts
    for c in range(len(w)):
        total = torch.zeros((), dtype=x.dtype)
        for h in range(parts):
            own = slice(h * width, (h + 1) * width)
            u = unit(x[own])
            if mean is not None:
                m = unit(mean[own])
                u = u - alpha * dot(u, m) * m
            total = total + tau / parts * dot(u, w[c][own] / (torch.sqrt(dot(w[c][own], w[c][own])) + gamma))
        out.append(total)
    return torch.stack(out)


def test_tde_idr_has_the_naive_difficulties_loss_gradients_and_logits():
    method = prepare("tde_idr", offset=0.5, alpha=1.5)
    (batch,) = double(make_batch(method))
    batch = replace(batch, index=torch.arange(16) * 3 + 2)
    settings, history, mean = (2, 16.0, 1 / 32), [], torch.zeros(method.cls.weight.shape[-1], dtype=torch.float64)
    for epoch in range(4):
        with torch.no_grad():
            method.eval().begin_epoch(iter([batch]))
            if epoch:  # the first call comes before the first epoch
                logits = [causal_logits(x, method.cls.weight[0], *settings) for x in method.features(batch.views[0])[0]]
                history.append([[torch.exp(log_p(z, c)) for c in range(4)] for z in logits])
        difficulty = [1.0] * sum(COUNTS)
        if epoch:
            for i, d in zip(batch.index.tolist(), idr_difficulty(history, batch.y.tolist(), 0.5), strict=True):
                difficulty[i] = d
        assert method.compute_difficulty().tolist() == pytest.approx(difficulty, rel=1e-9)
        features = method.train().features(batch.views[0])[0]
        logits = [causal_logits(x, method.cls.weight[0], *settings) for x in features]
        weight = [difficulty[i] * len(difficulty) / sum(difficulty) for i in batch.index.tolist()]
        loss = -sum(w * log_p(z, int(c)) for w, z, c in zip(weight, logits, batch.y, strict=True)) / len(batch.y)
        assert_equal_terms(method, method(batch), {"ce": loss})
        mean = 0.9 * mean + sum(features.detach()) / 16  # run_networks.py: the direction alone matters
        with torch.no_grad():  # stands in for an epoch of training
            method.cls.weight.add_(torch.randn_like(method.cls.weight), alpha=0.5)
    method.eval()
    for x, found in zip(method.features(batch.views[0])[0], method.logits(batch.views[0])[0], strict=True):
        expected = causal_logits(x, method.cls.weight[0], *settings, alpha=1.5, mean=mean)
        assert found.tolist() == pytest.approx(expected.tolist(), rel=1e-8)


# M2m ------------------------------------------------------------------------------------------------------------------


def m2m_translate(pixels, y, counts, f, g, race, replaced, accepted, noise, *, beta, gamma, push, moves, step):
    """Return images in 0..1 and which of them are translations (Kim et al. 2020).

    f and g map one image to its logits. race, replaced, accepted: the draws of seed, replacement and acceptance.
    Source: alinlab/M2m @5c59cb7, train.py (train_gen_epoch, train_net, generation) and utils.py (make_step).
    """
    out, used = [], []
    for i in range(len(y)):
        own = int(y[i])
        chance = [1 - beta ** max(counts[int(k)] - counts[own], 0) for k in y]
        seed = max(range(len(y)), key=lambda j: chance[j] / race[i][j])  # a draw by weight
        x = (pixels[seed] + noise[i]).clamp(0, 1)
        for _ in range(moves):
            x = x.detach().requires_grad_()
            (slope,) = torch.autograd.grad(-log_p(g(x), own) + push * f(x)[int(y[seed])], x)
            x = (x.detach() - step * slope / math.sqrt(sum(float(v) ** 2 for v in slope.flatten()))).clamp(0, 1)
        sure = math.exp(float(log_p(g(x), own))) >= gamma
        used.append(bool(replaced[i] >= counts[own] / max(counts) and accepted[i] < chance[seed] and sure))
        out.append(x if used[-1] else pixels[i])
    return torch.stack(out), used


def test_m2m_has_the_naive_terms_and_gradients_in_both_stages():
    method = prepare("m2m", beta=0.9, gamma=0.25, moves=3)
    first, last = method.stages()
    enter_stage(method, first)
    (batch,) = double(make_batch(method))
    x, y = batch.views[0], batch.y
    expected = {"ce": mean_ce(method.logits(x)[0], y), "guide": mean_ce(method.guide(x)[0], y)}
    assert_equal_terms(method, method(batch), expected)

    enter_stage(method, last)
    black, white = x.amin((0, 2, 3), keepdim=True), x.amax((0, 2, 3), keepdim=True)
    torch.manual_seed(3)
    race = torch.empty(16, 16, dtype=torch.float64).exponential_()
    replaced, accepted = torch.rand(16, dtype=torch.float64), torch.rand(16, dtype=torch.float64)
    noise = torch.rand_like(x) - 0.5
    noise = torch.stack([0.5 * v / math.sqrt(sum(float(a) ** 2 for a in v.flatten())) for v in noise])

    def look(head):
        return lambda pixels: head((pixels * (white - black)[0] + black[0]).unsqueeze(0))[0, 0]

    method.encoders.eval()
    made, used = m2m_translate(
        (x - black) / (white - black),
        y,
        COUNTS,
        look(method.logits),
        look(method.guide),
        race,
        replaced,
        accepted,
        noise,
        beta=0.9,
        gamma=0.25,
        push=0.5,
        moves=3,
        step=0.1,
    )
    method.encoders.train()
    assert any(used) and not all(used)
    torch.manual_seed(3)
    found, which = method.translate(x, y)
    assert which.tolist() == used and torch.allclose(found, made * (white - black) + black, atol=1e-9)
    torch.manual_seed(3)
    terms = method(batch)
    assert_equal_terms(method, terms, {"ce": mean_ce(method.logits(made * (white - black) + black)[0], y)})


# TSC ------------------------------------------------------------------------------------------------------------------


def tsc_loss(v, key, queue, chosen, temperature, targets=(), own=None, pull=0.0):
    """Return the loss of one image with the queue positions `chosen` as positives (Li et al. 2022).

    Sources: the formula of the supplement, App. B (LTH14/targeted-supcon, supp_release.pdf); as in moco/builder.py
    @6096cf1, the mean is over the positives that there are.
    """
    others = [*queue, *targets]
    total = torch.exp(dot(v, key) / temperature) + sum(torch.exp(dot(v, o) / temperature) for o in others)
    near = [key, *(queue[q] for q in chosen)]
    loss = -sum(dot(v, o) / temperature - torch.log(total) for o in near) / len(near)
    return loss if own is None else loss - pull * (dot(v, targets[own]) / temperature - torch.log(total))


def tsc_assignment(centroids, targets) -> list[int]:
    """Return the target of each class, the best of all permutations (builder.py: linear_sum_assignment)."""
    orders = itertools.permutations(range(len(targets)))
    return list(max(orders, key=lambda o: sum(float(dot(centroids[c], targets[t])) for c, t in enumerate(o))))


def tsc_centroids(centroids, v, y, momentum: float) -> list[Tensor]:
    """Return the centroids after a batch: normalized mean, moving average, normalized again (builder.py)."""
    out = [c.clone() for c in centroids]
    for c in {int(k) for k in y}:
        own = [v[i].detach() for i in range(len(y)) if int(y[i]) == c]
        out[c] = unit(momentum * out[c] + (1 - momentum) * unit(sum(own) / len(own)))
    return out


def ldam_loss(cos, y, counts, scale: float, largest: float, beta: float):
    """Return the LDAM loss with effective-number weights: Cao et al. 2019, Eq. 13, as kaidic/LDAM-DRW averages it."""
    margin = [largest * (min(counts) / n) ** 0.25 for n in counts]
    weight = [(1 - beta) / (1 - beta**n) for n in counts]
    total = 0.0
    for i, k in enumerate(y.tolist()):
        z = torch.stack([scale * (cos[i][c] - margin[c] * (c == k)) for c in range(len(counts))])
        total = total - weight[k] * log_p(z, k)
    return total / sum(weight[k] for k in y.tolist())


def test_tsc_has_the_naive_terms_gradients_queue_key_network_and_centroids():
    method = prepare("tsc", queue=24, projection=5, positives=3, key_momentum=0.9)
    queue, labels, start = method.queue.keys[0].clone(), [-1] * 24, []
    for stage, steps in zip(method.stages()[:2], (2, 2), strict=True):
        enter_stage(method, stage)
        assigned = tsc_assignment(start, method.targets) if stage.name == "targets" else []
        for step in range(steps):
            (batch,) = double(make_batch(method, seed=step))
            y = batch.y
            query = normalize(method.projector(method.encoders(batch.views[0]))[0], dim=-1)
            key = normalize(method.key(batch.views[1])[0], dim=-1)
            torch.manual_seed(step)
            draws = torch.rand(16, 24)
            losses = []
            for i in range(16):
                same = [q for q in range(24) if labels[q] == int(y[i])]
                chosen = sorted(same, key=lambda q: -draws[i][q])[:3]
                aim = {"targets": method.targets, "own": assigned[int(y[i])], "pull": 0.2} if assigned else {}
                losses.append(tsc_loss(query[i], key[i], queue, chosen, 0.07, **aim))
            centroids = tsc_centroids(method.centroids, query, y, 0.9)
            torch.manual_seed(step)
            assert_equal_terms(method, method(batch), {"contrast": sum(losses) / 16})
            assert torch.allclose(method.centroids, torch.stack(centroids), atol=1e-9)
            # a key is 0.9 of itself and 0.1 of the network after the step (builder.py; the momentum is 0.999 there)
            with torch.no_grad():
                for p in (*method.encoders.parameters(), *method.projector.parameters()):
                    p.add_(torch.randn_like(p), alpha=0.01)
            sources = [*method.encoders.parameters(), *method.projector.parameters()]
            moved = [0.9 * k + 0.1 * p for k, p in zip(method.key.copy.parameters(), sources, strict=True)]
            method.after_step()
            assert all(map(torch.allclose, method.key.copy.parameters(), moved))
            for i in range(16):  # the oldest keys leave
                place = (16 * (2 * (stage.name == "targets") + step) + i) % 24
                queue[place], labels[place] = key[i], int(y[i])
            assert torch.allclose(method.queue.keys[0], queue) and method.queue.labels.tolist() == labels
        start = method.centroids.clone()
    assert assigned != [0, 1, 2, 3]


@pytest.mark.parametrize("classifier", ["ldam", "balanced"])
def test_tsc_has_the_naive_loss_of_the_head(classifier):
    method = prepare("tsc", classifier=classifier)
    enter_stage(method, method.stages()[-1])
    (batch,) = double(make_batch(method))
    with torch.no_grad():
        features = method.encoders(batch.views[0])[0]
    if classifier == "ldam":
        cos = [[dot(unit(v), unit(w)) for w in method.cls.weight[0]] for v in features]
        expected = ldam_loss(cos, batch.y, COUNTS, 30, 0.5, 0.9999)
    else:
        w, b = method.cls.weight[0], method.cls.bias[0]
        expected = mean_ce([torch.stack([dot(v, w[c]) + b[c] for c in range(4)]) for v in features], batch.y)
    assert_equal_terms(method, method(batch), {classifier: expected})


# Hybrid-SC ------------------------------------------------------------------------------------------------------------


def supervised_contrast(points, y, temperature: float):
    """Return the mean supervised contrast of unit vectors, each against all others (Khosla et al. 2020, L_out).

    Wang et al. 2021 print the sum; their formula, alpha and two batches are quoted by the reproduction of CENG502
    (2022), which takes the mean, as the code of SupCon does.
    """
    losses = []
    for i in range(len(y)):
        total = sum(torch.exp(dot(points[i], points[k]) / temperature) for k in range(len(y)) if k != i)
        mates = [j for j in range(len(y)) if j != i and y[j] == y[i]]
        losses.append(-sum(dot(points[i], points[j]) / temperature - torch.log(total) for j in mates) / len(mates))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("progress", [0.0, 0.3, 1.0])
def test_hybrid_sc_has_the_naive_terms_and_gradients(progress):
    method = prepare("hybrid_sc")
    natural, balanced = double(*make_batches(method, method.stages()[0]))
    natural.progress.fill_(progress)
    balanced.y = torch.arange(16) % 4
    v = method.encoders(torch.cat([*natural.views, balanced.views[0]]))[0]
    points = [unit(row) for row in method.projector(v[None, :32])[0]]
    alpha = 1 - progress * progress
    contrast = alpha * supervised_contrast(points, natural.y.tolist() * 2, 0.1)
    ce = (1 - alpha) * mean_ce(method.cls(v[None, 32:])[0], balanced.y)
    assert_equal_terms(method, method(natural, balanced), {"contrast": contrast, "ce": ce})

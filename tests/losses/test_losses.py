"""Every equation against loops over plain numbers."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from longtail import losses

K, N, C, D, Q = 3, 5, 7, 4, 6


def random_logits(seed: int, *shape: int, scale: float = 3.0) -> torch.Tensor:
    """Draw Gaussian logits in double precision."""
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def labels() -> torch.Tensor:
    return torch.tensor([0, 6, 3, 3, 1])


@pytest.fixture
def log_prior() -> torch.Tensor:
    counts = torch.tensor([100, 50, 20, 10, 5, 2, 1], dtype=torch.float64)
    return (counts / counts.sum()).log()


def softmax(z) -> list[float]:
    """Compute the softmax of a list of numbers."""
    top = max(z)
    e = [math.exp(v - top) for v in z]
    return [v / sum(e) for v in e]


def kl(p: list[float], q: list[float]) -> float:
    """Compute KL(p || q) in nats."""
    return sum(a * (math.log(a) - math.log(b)) for a, b in zip(p, q, strict=True))


@pytest.mark.parametrize("tau", [0.0, 1.0, 1.7])
def test_balanced_cross_entropy_is_cross_entropy_of_prior_weighted_exponentials(labels, log_prior, tau):
    z = random_logits(0, K, N, C)
    result = losses.balanced_cross_entropy(z, labels, log_prior, tau)
    for k in range(K):
        for i in range(N):
            weighted = [math.exp(log_prior[c]) ** tau * math.exp(z[k, i, c]) for c in range(C)]
            expected = -math.log(weighted[labels[i]] / sum(weighted))
            assert result[k, i].item() == pytest.approx(expected, rel=1e-10)


def test_at_tau_0_balanced_is_plain_cross_entropy_for_any_leading_axes(labels, log_prior):
    z = random_logits(1, 2, K, N, C)
    plain = losses.cross_entropy(z, labels)
    assert torch.equal(plain, losses.balanced_cross_entropy(z, labels, log_prior, tau=0.0))
    assert torch.allclose(plain[1, 2], torch.nn.functional.cross_entropy(z[1, 2], labels, reduction="none"))


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_adjusted_logits_are_shifted_from_the_prior_to_the_target(log_prior, tau):
    z, target = random_logits(2, K, N, C), torch.full((C,), 1 / C, dtype=torch.float64).log()
    assert torch.allclose(losses.adjust_logits(z, log_prior, tau), z - tau * log_prior)
    adjusted = losses.adjust_logits(z, log_prior, tau, target)
    for c in range(C):
        assert torch.allclose(adjusted[..., c], z[..., c] - tau * (log_prior[c] - target[c]))
    assert torch.allclose(losses.adjust_logits(z, log_prior, tau, log_prior), z)


def test_transfer_weight_is_the_ratio_of_the_entropies_of_standardized_heads(labels):
    cls, ref = random_logits(3, K, N, C), random_logits(4, K, N, C)
    result = losses.transfer_weight(cls, ref, labels)
    for k in range(K):
        for i in range(N):
            h = []
            for head in (cls, ref):
                z = head[k, i].tolist()
                mean = sum(z) / C
                std = math.sqrt(sum((v - mean) ** 2 for v in z) / (C - 1))
                h.append(-math.log(softmax([v / std for v in z])[labels[i]]))
            assert result[k, i].item() == pytest.approx(h[0] / max(h[1], 1e-3), rel=1e-10)


def test_transfer_weight_is_larger_where_cls_is_less_sure_than_ref_and_has_no_gradient(labels):
    sure = torch.nn.functional.one_hot(labels, C).double()
    unsure = 0.1 * sure + random_logits(5, N, C, scale=0.5)
    assert (losses.transfer_weight(unsure[None], sure[None], labels) > 1).all()
    assert (losses.transfer_weight(sure[None], unsure[None], labels) < 1).all()
    cls = random_logits(6, K, N, C).requires_grad_()
    assert not losses.transfer_weight(cls, cls, labels).requires_grad


def test_transfer_weight_stays_finite_for_constant_logits_and_a_certain_reference(labels):
    weight = losses.transfer_weight(torch.full((K, N, C), 5.0), torch.full((K, N, C), -1e4), labels)
    assert torch.allclose(weight, torch.ones(K, N))
    certain = 1e4 * torch.nn.functional.one_hot(labels, C).float().expand(K, N, C)
    for z in (torch.zeros(K, N, C), certain):
        assert losses.transfer_weight(certain, z, labels).isfinite().all()
        assert losses.transfer_weight(z, certain, labels).isfinite().all()


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("weighted", [False, True])
def test_pairwise_kl_is_the_mean_over_ordered_pairs(temperature, weighted):
    z = random_logits(7, K, N, C)
    w = random_logits(8, K, N).abs() if weighted else None
    expected = 0.0
    for k in range(K):
        for q in range(K):
            if q == k:
                continue
            for i in range(N):
                teacher = softmax([v / temperature for v in z[q, i].tolist()])
                student = softmax([v / temperature for v in z[k, i].tolist()])
                expected += (w[k, i].item() if weighted else 1) * temperature**2 * kl(teacher, student) / N
    expected /= K * (K - 1)
    assert losses.pairwise_kl(z, w, temperature).item() == pytest.approx(expected, rel=1e-10)
    assert losses.pairwise_kl(z, w, temperature, detach=False).item() == pytest.approx(expected, rel=1e-10)


def test_pairwise_kl_with_detach_has_a_gradient_for_the_student_only():
    z = random_logits(9, 2, N, C)

    def gradient(detach: bool) -> torch.Tensor:
        x = z.clone().requires_grad_()
        losses.pairwise_kl(x, detach=detach).backward()
        return x.grad

    p = z.softmax(-1)
    student_only = (p - p.flip(0)) / (2 * N)  # d KL(q || p_k) / d z_k = p_k - q, a mean over two pairs and N samples
    assert torch.allclose(gradient(True), student_only)
    assert not torch.allclose(gradient(False), student_only)
    x = z.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda v: losses.pairwise_kl(v, detach=False), x)


@pytest.mark.parametrize("detach", [True, False])
def test_pairwise_kl_has_finite_gradients_at_logit_gaps_of_a_thousand(detach):
    z = (1000 * torch.eye(K)[:, None, :].expand(K, N, K)).clone().requires_grad_()
    losses.pairwise_kl(z, detach=detach).backward()
    assert z.grad.isfinite().all()


def test_pairwise_kl_of_one_expert_or_of_equal_experts_is_zero():
    z = random_logits(10, 1, N, C)
    assert losses.pairwise_kl(z).item() == 0
    assert losses.pairwise_kl(z.expand(K, N, C)).item() == pytest.approx(0, abs=1e-12)


def test_pairwise_kl_of_nearly_equal_experts_is_positive_and_exact():
    z = random_logits(14, 1, N, 1000).float() + 1e-4 * random_logits(15, K, N, 1000).float()
    exact = losses.pairwise_kl(z.double()).item()
    assert losses.pairwise_kl(z).item() == pytest.approx(exact, rel=0.05) and exact > 0


def all_pairs_kl(z, weight, temperature, detach):
    """Compute the definition of pairwise_kl pair by pair."""
    student = (z / temperature).log_softmax(-1)
    teacher = student.detach() if detach else student
    pairs = [(k, q) for k in range(len(z)) for q in range(len(z)) if q != k]
    terms = [weight[k] * (teacher[q].exp() * (teacher[q] - student[k])).sum(-1) for k, q in pairs]
    return temperature**2 * torch.stack(terms).mean()


def value_and_gradient(compute, z):
    x = z.clone().requires_grad_()
    value = compute(x)
    value.backward()
    return value.detach(), x.grad


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("gap", [1e-3, 1.0, 30.0])  # experts that nearly agree need differences before products
@pytest.mark.parametrize("experts", [2, 3, 5])
def test_pairwise_kl_and_its_gradient_equal_the_pairs_within_rounding(experts, gap, detach):
    z = random_logits(16, 1, N, 500) + gap * random_logits(17, experts, N, 500)
    weight = random_logits(18, experts, N).abs()
    for kind, value_error, gradient_error in ((torch.float64, 1e-9, 1e-12), (torch.float32, 1e-4, 2e-6)):
        x, w = z.to(kind), weight.to(kind)
        value, gradient = value_and_gradient(lambda x, w=w: losses.pairwise_kl(x, w, 2.0, detach), x)
        expected, pairs_gradient = value_and_gradient(lambda x, w=w: all_pairs_kl(x, w, 2.0, detach), x)
        assert value.item() == pytest.approx(expected.item(), rel=value_error)
        # terms of size w / N cancel where experts agree, and leave their rounding
        assert (gradient - pairs_gradient).norm() < gradient_error * max(pairs_gradient.norm(), weight.norm() / N)


def test_pairwise_kl_passes_gradcheck_with_weights_and_temperature():
    x = random_logits(20, K, 2, C).requires_grad_()
    weight = random_logits(21, K, 2).abs()
    assert torch.autograd.gradcheck(lambda v: losses.pairwise_kl(v, weight, 2.0, detach=False), x)


@pytest.mark.parametrize("detach", [True, False])
def test_no_tensor_of_pairwise_kl_holds_all_pairs_of_experts(detach):
    experts, images, classes = 3, 16, 500
    made, saved = [], {}

    class Sizes(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            result = func(*args, **(kwargs or {}))
            made.extend(t.untyped_storage().nbytes() for t in torch.utils._pytree.tree_leaves(result))
            return result

    def pack(tensor):
        saved[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    z = random_logits(19, experts, images, classes).float().requires_grad_()
    with Sizes(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        losses.pairwise_kl(z, torch.ones(experts, images), detach=detach).backward()
    whole = 4 * experts * images * classes
    assert max(made) == whole and sum(saved.values()) < 3.5 * whole


def test_info_nce_is_cross_entropy_of_the_querys_key_against_the_queue():
    unit = torch.nn.functional.normalize
    q, k, queue = (
        unit(random_logits(11, K, N, D), dim=-1),
        unit(random_logits(12, K, N, D), dim=-1),
        unit(random_logits(13, K, Q, D), dim=-1),
    )
    result = losses.info_nce(q, k, queue, 0.2)
    assert result.shape == (K, N)
    for e in range(K):
        for i in range(N):
            scores = [q[e, i].dot(k[e, i]).item() / 0.2] + [q[e, i].dot(queue[e, j]).item() / 0.2 for j in range(Q)]
            assert result[e, i].item() == pytest.approx(-math.log(softmax(scores)[0]), rel=1e-10)

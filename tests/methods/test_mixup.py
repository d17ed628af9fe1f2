"""Mixup as a method."""

import torch

from longtail.augment import mixup
from longtail.losses import cross_entropy
from longtail.testing import build_method, make_batch


def test_the_loss_is_cross_entropy_of_mixed_images_with_both_labels_by_their_shares():
    method = build_method("mixup")
    batch = make_batch(method)
    torch.manual_seed(4)
    loss = method(batch)["mixup"]
    torch.manual_seed(4)
    x, other, share = mixup(batch.views[0], batch.y, 1.0)
    z = method.logits(x)
    targets = share * torch.eye(4)[batch.y] + (1 - share) * torch.eye(4)[other]
    assert torch.allclose(loss, -(targets * z.log_softmax(-1)).sum(-1).mean(), atol=1e-5)
    assert 0 < share < 1 and not torch.allclose(loss, cross_entropy(z, batch.y).mean())

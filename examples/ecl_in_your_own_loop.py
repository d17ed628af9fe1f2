"""ECL (Xu et al., IEEE TMM 2023) in a training loop of your own, with `longtail.losses` and `longtail.nets` alone.

Run:      python examples/ecl_in_your_own_loop.py
Time:     9 s of CPU time (one thread of a shared AMD EPYC Zen 4, torch 2.15, 2026-11-26)
Expected: 82.3% of all test images are right, 54.5% of digits 7 to 9, which have 5, 3 and 2 training images
"""

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import normalize, pad

from longtail.losses import balanced_cross_entropy, info_nce, pairwise_kl, transfer_weight
from longtail.nets import Experts, Heads, MomentumCopy, Net, Projectors, Queue

EXPERTS, EPOCHS, BATCH, LR, ALPHA, BETA = 3, 20, 32, 0.1, 0.6, 1.0
torch.manual_seed(0)

# Data: handwritten digits of 8 x 8 pixels. Every second one is for testing; 75 of digit 0 to 2 of digit 9 are for training.
pixels, digits = load_digits(return_X_y=True)
images = torch.tensor(pixels).float().view(-1, 1, 8, 8).expand(-1, 3, 8, 8) / 8 - 1  # (N, 3, 8, 8), in [-1, 1]
labels = torch.tensor(digits).long()
test_images, test_labels, images, labels = images[1::2], labels[1::2], images[::2], labels[::2]
counts = torch.tensor([75, 50, 33, 22, 15, 10, 7, 5, 3, 2])
kept = torch.cat([(labels == c).nonzero()[:n, 0] for c, n in enumerate(counts)])
images, labels = images[kept], labels[kept]
log_prior = (counts / counts.sum()).log()  # (C,)


def augment(x):
    """Draw a view of each image: shifted by up to one pixel in both directions, with some noise."""
    rows, columns = torch.randint(3, (2, len(x)))
    padded = pad(x, (1, 1, 1, 1), value=-1)
    shifted = [padded[n, :, i : i + 8, j : j + 8] for n, (i, j) in enumerate(zip(rows, columns, strict=True))]
    return torch.stack(shifted) + 0.1 * torch.randn_like(x)


# K complete networks, a head and a reference head for each, and the contrastive branch
net = Net("resnet8")
encoders = Experts(net.encoder, EXPERTS)
cls, ref = (Heads(EXPERTS, net.feature_dim, len(counts)) for _ in range(2))
projector = Projectors(EXPERTS, net.feature_dim, 64)
key_encoders, queue = MomentumCopy(0.99, encoders, projector), Queue(EXPERTS, 128, 64)

trained = [p for module in (encoders, cls, ref, projector) for p in module.parameters()]
optimizer = torch.optim.SGD(trained, LR, momentum=0.9, nesterov=True, weight_decay=5e-4)
steps = EPOCHS * -(-len(images) // BATCH)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

for epoch in range(EPOCHS):
    for rows in torch.randperm(len(images)).split(BATCH):
        x, y = images[rows], labels[rows]
        v = encoders(augment(x))  # (K, N, d)
        z, r = cls(v), ref(v)  # (K, N, C)
        query = normalize(projector(v), dim=-1)
        key = normalize(key_encoders(augment(x)), dim=-1)  # (K, N, 64), without gradient

        classification = balanced_cross_entropy(z, y, log_prior).mean()  # Eq. 3
        reference = balanced_cross_entropy(r, y, log_prior).mean()  # Eq. 10
        logits = pairwise_kl(z, transfer_weight(z, r, y))  # Eq. 5-7
        features = pairwise_kl(v)  # Eq. 8
        contrast = info_nce(query, key, queue.keys, temperature=0.2).mean()  # Eq. 9
        loss = classification + reference + ALPHA * (logits + features) + BETA * contrast  # Eq. 11

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        key_encoders.update(encoders, projector)
        queue.push(key)  # after the step, as no image may meet its own key
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1:2}  loss of the last batch {loss.item():.3f}")

encoders.eval()
with torch.no_grad():
    predicted = cls(encoders(test_images)).mean(0).argmax(-1)  # the ensemble is the mean over the experts
correct = (predicted == test_labels).float()
for name, group in (("all digits", range(10)), ("digits 0 to 2", range(3)), ("digits 7 to 9", range(7, 10))):
    accuracy = correct[torch.isin(test_labels, torch.tensor(group))].mean().item()
    print(f"{name:14} {100 * accuracy:.1f}% of the test images are right")

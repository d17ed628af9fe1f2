"""M2m: images of rare classes translated from images of frequent ones (Kim et al., CVPR 2020)."""

from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor, nn

from longtail.data import Batch
from longtail.losses import cross_entropy
from longtail.methods.base import Classifier, Stage
from longtail.nets import Experts, Heads, Net, complete_rows
from longtail.validation import Range


class M2m(Classifier):
    """Cross-entropy; in the last stage, images of rare classes are replaced by images translated from larger classes.

    On balanced batches an image of class k is replaced with probability 1 - n_k / n_1. A seed of class k0 is drawn in the
    batch with weight q = 1 - beta^(n_k0 - n_k). It moves down the gradient of CE(g(x), k) + push f_k0(x), where f is the
    network in training and g, the guide, a second one. The image is used if g gives k at least gamma, and with probability q.
    Pixels are normalized, so a step is scaled by each channel's range in the batch, as black and white are 0 and 1 in
    the paper. The guide is trained beside f in the first stage; the authors train it alone for 200 epochs. Their noise
    is bounded by a channel of the whole batch; here by an image. Their learning rate falls to 1 / 100 at epoch 160 and to
    1 / 10,000 at 180, hence `late_lr`. They select the epoch on a tenth of the *test* images.
    """

    trains_on_features = False  # it moves pixels
    assumes = "uniform"

    n: Tensor

    def __init__(
        self,
        counts: Sequence[int],
        net: Net,
        beta: Annotated[
            float, "an image may be used with probability 1 - beta^(n_k0 - n_k) (authors' code)", Range(0, 1)
        ] = 0.999,
        gamma: Annotated[
            float,
            "confidence of the guide from which an image is used (authors' scripts; 0.99 in their code)",
            Range(0),
        ] = 0.9,
        push: Annotated[float, "lambda, weight of the seed class's logit (authors' code)", Range(0)] = 0.5,
        moves: Annotated[int, "T, steps of a translation (authors' code)", Range(1)] = 10,
        step_size: Annotated[float, "eta, L2 length of a step, for pixels in [0, 1] (authors' code)", Range(0)] = 0.1,
        noise: Annotated[float, "L2 length of the noise before the first step (authors' code)", Range(0)] = 0.5,
        translate_share: Annotated[float, "share of the epochs with translations: 40 of 200", Range(0.01, 0.99)] = 0.2,
        late_lr: Annotated[
            float,
            "learning rate of the translations' epochs over that before (authors: 0.01, 0.0001)",
            Range(0, open_low=True),
        ] = 0.1,
    ):
        super().__init__(counts, net)
        self.beta, self.gamma, self.push, self.moves = beta, gamma, push, moves
        self.step_size, self.noise = step_size, noise
        self.translate_share, self.late_lr = translate_share, late_lr
        self.guide = nn.Sequential(Experts(net.encoder, 1), Heads(1, net.feature_dim, self.classes))
        self.register_buffer("n", torch.tensor(counts, dtype=torch.float32), persistent=False)

    def stages(self) -> list[Stage]:
        late = Stage("translate", self.translate_share, ("balanced",), ("encoders", "cls"), lr_scale=self.late_lr)
        return [Stage("baseline", 1 - self.translate_share), late]

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        x, y = batch.views[0], batch.y
        if self.stage == "translate":
            x, _ = self.translate(x, y)
            return {"ce": cross_entropy(self.logits(x), y).mean()}
        return {"ce": cross_entropy(self.logits(x), y).mean(), "guide": cross_entropy(self.guide(x), y).mean()}

    def translate(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Translate some images from others of the batch: (N, 3, H, W), (N,) -> images, which are translated (N,)."""
        n = self.n[y]
        weight = compute_seed_weights(n, self.beta)
        seed = (weight / torch.empty_like(weight).exponential_()).argmax(-1)  # a draw by weight, without a sync
        q = weight.gather(-1, seed.unsqueeze(-1)).squeeze(-1)
        wanted = (torch.rand_like(q) > n / self.n.max()) & (torch.rand_like(q) < q)
        black, white = x.amin((0, 2, 3), keepdim=True), x.amax((0, 2, 3), keepdim=True)
        noise = scale_to_length(torch.rand_like(x) - 0.5, self.noise)
        was = self.encoders.training
        self.encoders.eval()
        try:  # a step that fails while it is captured is run again
            made = (x[seed] + (white - black) * noise).clamp(black, white)
            for _ in range(self.moves):
                made = step_down(made, self.compute_gradient(made, y, y[seed]), black, white, self.step_size)
            made = complete_rows(made)
            with torch.no_grad():
                sure = self.guide(made)[0].softmax(-1).gather(-1, y.unsqueeze(-1)).squeeze(-1) >= self.gamma
        finally:
            self.encoders.train(was)
        used = wanted & sure
        return torch.where(used.view(-1, 1, 1, 1), made, x), used

    def compute_gradient(self, x: Tensor, y: Tensor, away: Tensor) -> Tensor:
        """Compute the gradient of `compute_distance` with respect to the images: (N, 3, H, W), (N,) x 2 -> (N, 3, H, W).

        Among several processes, each has its rows only.
        """
        x = x.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(self.compute_distance(x, y, away).sum(), x)
        return gradient

    def compute_distance(self, x: Tensor, y: Tensor, away: Tensor) -> Tensor:
        """Compute CE(g(x), y) + push f_away(x), which a translation lowers: (N, 3, H, W), (N,) x 2 -> (1, N)."""
        return cross_entropy(self.guide(x), y) + self.push * self.logits(x)[0].gather(-1, away.unsqueeze(-1)).squeeze(
            -1
        )


def compute_seed_weights(n: Tensor, beta: float) -> Tensor:
    """Compute the weight 1 - beta^max(n_k0 - n_k, 0) of each image's class k0 as seed of class k: (N,) -> (N of k, N of k0)."""
    return 1 - beta ** (n - n.unsqueeze(1)).clamp_min(0)


def scale_to_length(v: Tensor, length: float) -> Tensor:
    """Scale each image of v to an L2 norm of `length`; zeros stay: (N, 3, H, W) -> (N, 3, H, W)."""
    norm = torch.linalg.vector_norm(v, dim=(1, 2, 3), keepdim=True)
    return length * v / norm.clamp_min(torch.finfo(v.dtype).tiny)


def step_down(x: Tensor, gradient: Tensor, black: Tensor, white: Tensor, length: float) -> Tensor:
    """Move images down a gradient by a step of a length in units of the range of each channel, kept inside the range.

    (N, 3, H, W) x 2, (1, 3, 1, 1) x 2 -> (N, 3, H, W).
    """
    span = white - black
    return (x - span * scale_to_length(gradient * span, length)).clamp(black, white)

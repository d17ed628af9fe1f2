"""The nearest class mean as a method."""

import torch
from torch.nn.functional import cosine_similarity

from longtail.testing import build_method, enter_stage, make_batch


def test_an_image_takes_the_class_whose_mean_feature_has_the_largest_cosine():
    method = build_method("ncm", experts=2)
    enter_stage(method, method.stages()[1])  # the post-hoc step reads the batches of seeds 0, 1 and 2
    batches = [make_batch(method, seed) for seed in range(3)]
    v = torch.cat([method.features(b.views[0]) for b in batches], 1)
    y = torch.cat([b.y for b in batches])
    test = make_batch(method, 9).views[0]
    z, u = method.logits(test), method.features(test)
    for k in range(2):
        means = [torch.stack([v[k, i] for i in range(len(y)) if y[i] == c]).mean(0) for c in range(4)]
        for i in range(len(test)):
            cosines = torch.stack([cosine_similarity(u[k, i], mean, dim=0) for mean in means])
            assert torch.allclose(z[k, i], u[k, i].norm() * cosines, atol=1e-5)

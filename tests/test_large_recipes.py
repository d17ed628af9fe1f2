"""The recipes of ImageNet-LT and iNaturalist, and the size that a network brings."""

import pytest

from longtail import LongtailError
from longtail.recipes import recipe_for


@pytest.mark.parametrize(
    "data, epochs, batch, decay, scale",
    [("imagenet-lt", 180, 256, 5e-4, 16.0), ("inaturalist2018", 90, 512, 1e-4, 32.0)],
)
def test_the_large_sets_have_the_papers_numbers(data, epochs, batch, decay, scale):
    recipe = recipe_for(data)
    assert (recipe.epochs, recipe.batch_size, recipe.weight_decay) == (epochs, batch, decay)
    assert (recipe.lr, recipe.momentum, recipe.nesterov, recipe.net) == (0.01, 0.9, False, "resnet50")
    large = {"head": "cosine", "scale": scale, "projection": 128, "queue": 8192}
    assert all(recipe_for(data, method=method).options.items() >= large.items() for method in ("ecl", "ncl"))
    assert recipe.transform_set.size == 224 and recipe.transform_set.eval_transform.resize == 256


def test_options_of_a_recipe_are_its_methods_alone_and_give_way_to_those_asked_for():
    assert recipe_for("imagenet-lt", method="ce").options == {"experts": 1, "head": "linear", "scale": 25.0}
    assert recipe_for("imagenet-lt", scale=20.0).options["scale"] == 20.0
    assert recipe_for("imagenet-lt", net="resnext50_32x4d").options["queue"] == 8192


def test_statistics_are_the_data_sets_and_with_pretrained_weights_those_of_the_weights():
    assert recipe_for("inaturalist2018").transform_set.mean == (0.466, 0.471, 0.380)
    assert recipe_for("inaturalist2018", weights="timm").transform_set.mean == (0.485, 0.456, 0.406)
    assert recipe_for("imagenet-lt", net="vit_small_patch16_224", weights="timm").transform_set.std == (0.5, 0.5, 0.5)
    assert recipe_for("cifar10-lt", weights="own.pth").transform_set.mean == (0.4914, 0.4822, 0.4465)


def test_a_network_of_timm_brings_its_size_unless_another_is_asked_for(tmp_path):
    data = str(tmp_path)
    assert recipe_for(data).views == "custom-224"
    assert recipe_for(data, "scratch").views == "custom-64"
    assert recipe_for(data, net="resnet8").views == "custom-64"
    assert recipe_for(data, net="test_vit").views == "custom-160"
    assert recipe_for(data, net="test_vit", size=64).views == "custom-64"
    assert recipe_for(data, net="test_vit", views="imagenet-96").views == "imagenet-96"
    assert recipe_for("imagenet-lt", size=112).views == "imagenet-112"
    assert recipe_for("cifar10-lt", net="resnet18").views == "cifar"
    with pytest.raises(LongtailError, match="images of 60 x 60"):
        recipe_for(data, net="test_vit", size=60)

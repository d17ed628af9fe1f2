"""Foregrounds and their moves against worked examples and loops over pixels."""

import math

import pytest
import torch

from longtail.augment import find_foreground, move_foreground
from longtail.augment.foreground import apply_moves, draw_moves, find_box

MAPS = torch.tensor([[[[1, 2], [0, 3]], [[0, 2], [1, 1]]]], dtype=torch.float64)
WEIGHT = torch.tensor([[1, -0.5]], dtype=torch.float64)
MIRROR = torch.tensor([[[-1.0, 0, 0], [0, 1, 0]]], dtype=torch.float64)


def test_the_foreground_is_where_the_scaled_activation_reaches_the_share_of_its_mean():
    assert find_foreground(MAPS, WEIGHT, (2, 2), 0.75)[0, 0].tolist() == [[True, True], [False, True]]


@pytest.mark.parametrize("activation, seen", [(0.374, False), (0.376, True)])
def test_the_threshold_of_the_worked_example_is_three_eighths(activation, seen):
    cam = torch.tensor([[[[0.5, activation], [0, 1]]]], dtype=torch.float64)
    keep = 0.375 / cam.mean().item()
    assert find_foreground(cam, WEIGHT[:, :1], (2, 2), keep)[0, 0, 0, 1].item() == seen


def test_a_constant_activation_is_foreground_everywhere():
    assert find_foreground(torch.ones(1, 2, 2, 2), torch.ones(1, 2), (8, 8), 0.75).all()


def test_a_mirrored_foreground_covers_where_it_was_and_where_it_arrives():
    x = torch.arange(12, dtype=torch.float64).view(1, 3, 2, 2)
    seen = torch.tensor([[[[True, True], [False, True]]]])
    assert torch.allclose(apply_moves(x, seen, MIRROR), x.flip(3))
    left = torch.tensor([[[[True, False], [False, False]]]])
    expected = x.clone()
    expected[:, :, 0] = x[:, :, 0].flip(2)
    assert torch.allclose(apply_moves(x, left, MIRROR), expected)


def test_the_box_is_the_first_and_last_row_and_column_of_the_foreground():
    seen = torch.zeros(1, 1, 6, 8, dtype=torch.bool)
    seen[0, 0, 2, 3] = seen[0, 0, 4, 6] = True
    assert [[side.item() for side in pair] for pair in find_box(seen)] == [[2, 4], [3, 6]]


def build_square(n: int) -> torch.Tensor:
    """Build n foregrounds of 8 x 8 pixels, each with a square of 3 pixels at another place."""
    seen = torch.zeros(n, 1, 8, 8, dtype=torch.bool)
    for i in range(n):
        seen[i, 0, i % 6 : i % 6 + 3, (i * 7) % 6 : (i * 7) % 6 + 3] = True
    return seen


def test_a_turn_keeps_the_center_of_the_box_and_has_the_drawn_angle_and_scale():
    torch.manual_seed(0)
    seen = build_square(200)
    turn = draw_moves(seen, torch.float64)[0]
    (top, bottom), (left, right) = find_box(seen)
    center = torch.stack([(left + right + 1) / 8 - 1, (top + bottom + 1) / 8 - 1, torch.ones(200)], -1).double()
    assert torch.allclose((turn @ center.unsqueeze(-1)).squeeze(-1), center[:, :2], atol=1e-6)
    scale = 1 / turn[:, :, :2].det().sqrt()
    angle = torch.atan2(turn[:, 0, 1], turn[:, 0, 0])
    assert 0.8 <= scale.min() < 0.82 and 1.18 < scale.max() <= 1.2
    assert angle.abs().max() <= math.radians(45) and angle.max() > math.radians(43) and angle.min() < -math.radians(43)


def test_a_shift_keeps_the_box_inside_and_reaches_both_edges():
    torch.manual_seed(0)
    seen = build_square(400)
    shift = draw_moves(seen, torch.float64)[1]
    assert torch.equal(shift[:, :, :2], torch.eye(2, dtype=torch.float64).expand(400, 2, 2))
    (top, bottom), (left, right) = find_box(seen)
    for axis, first, last in ((0, left, right), (1, top, bottom)):
        pixels = -shift[:, axis, 2] * 4  # output to input, in units of half an image
        low, high = first + pixels, last + pixels
        assert low.min() > -1e-6 and high.max() < 7 + 1e-6 and low.min() < 0.1 and high.max() > 6.9


def test_pixels_from_outside_of_the_image_are_not_pasted():
    x, seen = torch.ones(1, 3, 8, 8, dtype=torch.float64), torch.ones(1, 1, 8, 8, dtype=torch.bool)
    moves = torch.tensor(
        [[[1.0, 0, 1.0], [0, 1, 0]]], dtype=torch.float64
    )  # half of it comes from the right of the image
    assert torch.equal(apply_moves(x, seen, moves), x)


def test_without_mirror_no_image_is_mirrored_and_with_it_a_third_is():
    torch.manual_seed(0)
    x = torch.randn(300, 3, 8, 8, dtype=torch.float64)
    seen = torch.ones(300, 1, 8, 8, dtype=torch.bool)
    for mirror, low, high in ((False, 0, 0), (True, 80, 120)):
        mirrored = ((move_foreground(x, seen, mirror) - x.flip(3)).abs().amax((1, 2, 3)) < 1e-6).sum()
        assert low <= mirrored <= high

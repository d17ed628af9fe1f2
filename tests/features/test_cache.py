"""The cache of features: found by content, whole or not there, and damage is noticed."""

import hashlib

import numpy as np
import pytest
import torch

from longtail.commands import app
from longtail.features import FeatureCache, clear_cache, list_cache


def sha(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


@pytest.fixture
def cache(tmp_path):
    notes: list[str] = []
    about = {"net": "a", "weights": "file", "sha256": "0", "size": 32, "looks": 2}
    made = FeatureCache(tmp_path, about, notes.append)
    return made, notes


def test_features_are_found_for_the_same_images_in_any_order(cache):
    made, notes = cache
    features = torch.randn(3, 2, 4).half()
    assert made.write([sha(0), sha(1), sha(2)], features)
    found, is_held = made.read([sha(2), sha(9), sha(0), sha(2)], 2, 4)
    assert is_held.tolist() == [True, False, True, True]
    assert torch.equal(found[is_held], features[[2, 0, 2]]) and not notes


def test_two_files_serve_one_reading(cache):
    made, _ = cache
    first, second = torch.randn(2, 2, 4).half(), torch.randn(1, 2, 4).half()
    made.write([sha(0), sha(1)], first)
    made.write([sha(2)], second)
    found, is_held = made.read([sha(i) for i in range(3)], 2, 4)
    assert is_held.all() and torch.equal(found, torch.cat([first, second]))


def test_whatever_differs_of_the_encoder_has_a_folder_of_its_own(cache):
    made, _ = cache
    folders = {
        FeatureCache(made.root, made.about | change, print).folder for change in ({}, {"size": 64}, {"sha256": "1"})
    }
    assert len(folders) == 3


@pytest.mark.parametrize("at", [0.0, 0.3, 0.6, 0.999])
def test_a_damaged_file_is_removed_with_a_note_and_never_used(cache, at):
    made, notes = cache
    made.write([sha(0)], torch.randn(1, 2, 4).half())
    (path,) = made.folder.glob("*.safetensors")
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 0x10
    path.write_bytes(content)
    _, is_held = made.read([sha(0)], 2, 4)
    assert not is_held.any() or not notes  # a flip in the digest of another image changes no feature that is used
    if not is_held.any() and notes:
        assert "damaged" in notes[0] and not path.exists()


def test_every_flipped_bit_gives_the_same_features_or_none(cache):
    made, notes = cache
    features = torch.randn(2, 2, 4).half()
    made.write([sha(0), sha(1)], features)
    (path,) = made.folder.glob("*.safetensors")
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(damaged)
        found, is_held = made.read([sha(0), sha(1)], 2, 4)
        assert torch.equal(found[torch.from_numpy(is_held)], features[torch.from_numpy(is_held)])
        path.write_bytes(whole)
    assert notes


def test_a_full_disk_costs_a_note_and_not_the_run(cache, monkeypatch):
    made, notes = cache
    made.root.joinpath("features").write_text("no folder")
    assert made.write([sha(0)], torch.zeros(1, 2, 4)) is False
    assert len(notes) == 1 and "--cache" in notes[0]


def test_the_cache_is_listed_and_cleared(cache):
    made, _ = cache
    made.write([sha(0)], torch.zeros(1, 2, 4))
    (entry,) = list_cache(made.root)
    assert entry["net"] == "a" and entry["images"] == 1 and entry["bytes"] > 0
    (made.root / "features" / "mine.txt").write_text("not of longtail")
    assert clear_cache(made.root) == entry["bytes"]
    assert list_cache(made.root) == [] and (made.root / "features" / "mine.txt").exists()


def test_a_damaged_cache_is_still_listed_and_cleared(cache, capsys):
    made, _ = cache
    made.write([sha(0)], torch.zeros(1, 2, 4))
    (path,) = made.folder.glob("*.safetensors")
    path.write_bytes(b"no safetensors")
    (entry,) = list_cache(made.root)
    assert entry["images"] == 0 and entry["bytes"] == 14
    (made.folder / "about.json").write_text("{}")
    words = ["cache", "--cache", str(made.root)]
    with pytest.raises(SystemExit) as stop:
        app.main(words)
    assert stop.value.code == 2 and "about.json is not as longtail wrote it" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        app.main([*words, "--clear"])
    assert stop.value.code == 0 and not made.folder.exists()


def test_an_empty_cache_holds_nothing(cache):
    made, _ = cache
    found, is_held = made.read([sha(0)], 2, 4)
    assert found.shape == (1, 2, 4) and isinstance(is_held, np.ndarray) and not is_held.any()

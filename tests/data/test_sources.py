"""Named data sets: what they hold, and what is said of files that are not as they should be."""

import io
import json
import pickle

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from longtail import LongtailError, data

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_parquet(path, labels, size=32, spoil=None):
    """A parquet file of one-color images: red is the row, green the label."""
    rows = []
    for row, label in enumerate(labels):
        pixels = np.zeros((size, size, 3), np.uint8)
        pixels[..., 0], pixels[..., 1] = row % 256, label
        rows.append({"bytes": b"no image" if row == spoil else encoded(pixels), "path": f"{row}.png"})
    names = json.dumps({"info": {"features": {"label": {"names": NAMES, "_type": "ClassLabel"}}}})
    table = pa.table({"image": rows, "label": list(labels)}).replace_schema_metadata({"huggingface": names})
    pq.write_table(table, path)


@pytest.fixture
def tiny_pool(tmp_path, monkeypatch):
    """A CIFAR-10-like root: a long-tailed pool of at most 500 images a class, in drawn order."""
    monkeypatch.setattr("longtail.data.sources.CIFAR_IMAGES", 100)
    write_parquet(tmp_path / "train.parquet", np.repeat(np.arange(10), data.exponential_counts(10, 10, 5)))
    write_parquet(tmp_path / "test.parquet", np.arange(20) % 10)
    return tmp_path


def test_digits_have_a_balanced_test_part_and_nested_training_parts():
    small, large = data.load_split("digits-lt", 50), data.load_split("digits-lt", 20)
    assert torch.bincount(small.test.labels).tolist() == [70] * 10
    assert torch.equal(small.test.images, large.test.images)
    assert large.classes.counts[0] == 104 and large.classes.counts[-1] == 5
    assert small.train.images.dtype == torch.uint8 and small.train.images.shape[1:] == (3, 8, 8)
    seen = {row.numpy().tobytes() for row in large.train.images}
    assert all(row.numpy().tobytes() in seen for row in small.train.images)


def test_a_long_tailed_pool_is_taken_in_its_order(tiny_pool):
    split = data.load_split("cifar10-lt", 10, str(tiny_pool))
    assert list(split.classes.counts) == data.exponential_counts(10, 10, 10)
    assert split.classes.names == tuple(NAMES)
    pool = np.repeat(np.arange(10), data.exponential_counts(10, 10, 5))
    rows = np.concatenate([np.flatnonzero(pool == c)[:n] for c, n in enumerate(split.classes.counts)])
    assert split.train.images[:, 0, 0, 0].tolist() == rows.tolist()
    assert split.train.images[:, 1, 0, 0].tolist() == split.train.labels.tolist()
    assert split.test.images.shape == (20, 3, 32, 32) and split.notes


def test_a_full_pool_is_drawn_from_with_seed_0(tiny_pool):
    labels = np.tile(np.arange(10), 10)
    write_parquet(tiny_pool / "train.parquet", labels)
    split = data.load_split("cifar10-lt", 10, str(tiny_pool))
    assert split.train.images[:, 0, 0, 0].tolist() == data.long_tailed_indices(
        labels, data.exponential_counts(10, 10, 10)
    )
    assert not split.notes


def test_a_pool_too_small_for_the_imbalance_names_the_class(tiny_pool):
    with pytest.raises(LongtailError, match=r"class 'automobile' needs 9 .* its pool has 8.*--imbalance"):
        data.load_split("cifar10-lt", 2, str(tiny_pool))


def test_broken_roots_say_what_is_wrong_and_where(tiny_pool, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(LongtailError, match=r"empty holds neither train.parquet"):
        data.load_split("cifar10-lt", 10, str(empty))
    with pytest.raises(LongtailError, match="nowhere is not a folder"):
        data.load_split("cifar10-lt", 10, str(tmp_path / "nowhere"))
    with pytest.raises(LongtailError, match=r"labels 0 to 99|names 10 classes"):
        data.load_split("cifar100-lt", 10, str(tiny_pool))
    (tiny_pool / "test.parquet").unlink()
    with pytest.raises(LongtailError, match=r"test.parquet is missing"):
        data.load_split("cifar10-lt", 10, str(tiny_pool))
    whole = (tiny_pool / "train.parquet").read_bytes()
    for broken in (b"", b"no parquet", whole[: len(whole) // 2]):
        (tiny_pool / "train.parquet").write_bytes(broken)
        with pytest.raises(LongtailError, match=r"train.parquet is not a readable parquet file"):
            data.load_split("cifar10-lt", 10, str(tiny_pool))


def test_an_unreadable_or_oddly_sized_image_names_its_row(tiny_pool):
    write_parquet(tiny_pool / "test.parquet", np.arange(20) % 10, spoil=7)
    with pytest.raises(LongtailError, match=r"test.parquet, row 7: not a readable image"):
        data.load_split("cifar10-lt", 10, str(tiny_pool))
    write_parquet(tiny_pool / "test.parquet", np.arange(20) % 10, size=16)
    with pytest.raises(LongtailError, match=r"row 0: the image is 16 x 16, expected 32 x 32"):
        data.load_split("cifar10-lt", 10, str(tiny_pool))


def test_a_corrupt_official_archive_is_one_clear_error(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"not an archive")
    with pytest.raises(LongtailError, match=r"cifar-10-python.tar.gz is not the official archive of cifar10"):
        data.load_split("cifar10-lt", 10, str(tmp_path))


def test_the_official_archive_gives_the_images_in_their_order(tmp_path, monkeypatch):
    torchvision = pytest.importorskip("torchvision")
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        part = {"data": rng.integers(0, 256, (20, 3072), np.uint8), "labels": list(np.arange(20) % 10)}
        (folder / name).write_bytes(pickle.dumps(part))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": NAMES}))
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision.datasets.cifar, "check_integrity", lambda *args: True)
    monkeypatch.setattr("longtail.data.sources.CIFAR_IMAGES", 100)
    split = data.load_split("cifar10-lt", 10, str(tmp_path))
    assert list(split.classes.counts) == data.exponential_counts(10, 10, 10)
    test = pickle.loads((folder / "test_batch").read_bytes())["data"].reshape(-1, 3, 32, 32)
    assert torch.equal(split.test.images, torch.from_numpy(test))
    assert split.classes.names == tuple(NAMES)


@pytest.mark.parametrize("name, total", [("cifar10", 12406), ("cifar100", 10847)])
def test_the_real_files_give_the_published_counts(shared, name, total):
    split = data.load_split(f"{name}-lt", 100, str(shared / name))
    assert len(split.train) == total and len(split.test) == 10_000
    assert split.train.images.shape[1:] == (3, 32, 32)


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(LongtailError, match="unknown data 'cifar10lt'; did you mean 'cifar10-lt'"):
        data.load_split("cifar10lt", 100)


@pytest.mark.parametrize("labels", [["a", "b"], [0.5, 1.5], [0, None]])
def test_labels_that_are_no_whole_numbers_are_refused(tiny_pool, labels):
    image = {"bytes": encoded(np.zeros((32, 32, 3), np.uint8)), "path": "x"}
    pq.write_table(pa.table({"image": [image, image], "label": labels}), tiny_pool / "train.parquet")
    with pytest.raises(LongtailError, match=r"train.parquet is not a readable parquet file .* label"):
        data.load_split("cifar10-lt", 10, str(tiny_pool))


def test_classes_left_without_training_images_are_said():
    assert "classes: 7, 8, 9" in data.load_split("digits-lt", 1000).classes.notes()[0]
    assert not data.load_split("digits-lt", 50).classes.notes()

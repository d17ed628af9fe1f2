"""Named data sets: their content, and the errors for faulty files."""

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
from longtail.data.cifar import list_cifar_file

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def encoded(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def write_parquet(path, labels, size=32, spoil=None, noise=False):
    """Write a parquet file of images, noise or one color: red is the row, green the label."""
    rows, rng = [], np.random.default_rng(0)
    for row, label in enumerate(labels):
        pixels = np.zeros((size, size, 3), np.uint8)
        pixels[..., 0], pixels[..., 1] = row % 256, label
        if noise:
            pixels = rng.integers(0, 256, pixels.shape, np.uint8)
        rows.append({"bytes": b"no image" if row == spoil else encoded(pixels), "path": f"{row}.png"})
    names = json.dumps({"info": {"features": {"label": {"names": NAMES, "_type": "ClassLabel"}}}})
    table = pa.table({"image": rows, "label": list(labels)}).replace_schema_metadata({"huggingface": names})
    pq.write_table(table, path, row_group_size=7)


@pytest.fixture
def tiny_pool(tmp_path, monkeypatch):
    """Write a root like CIFAR-10's: a long-tailed pool of at most 10 images per class, and 20 test images."""
    monkeypatch.setattr("longtail.data.sources.CIFAR_IMAGES", 100)
    write_parquet(tmp_path / "train.parquet", np.repeat(np.arange(10), data.exponential_counts(10, 10, 5)))
    write_parquet(tmp_path / "test.parquet", np.arange(20) % 10)
    return tmp_path


def test_digits_have_balanced_test_images_and_nested_training_images():
    small, large = data.load_split("digits-lt", 50), data.load_split("digits-lt", 20)
    assert torch.bincount(small.test.labels).tolist() == [70] * 10
    assert torch.equal(small.test.images, large.test.images)
    assert large.classes.counts[0] == 104 and large.classes.counts[-1] == 5
    assert small.train.images.dtype == torch.uint8 and small.train.images.shape[1:] == (3, 8, 8)
    seen = {row.numpy().tobytes() for row in large.train.images}
    assert all(row.numpy().tobytes() in seen for row in small.train.images)


def test_the_hash_of_parquet_rows_that_name_files_sees_a_file_change(tmp_path):
    rows = [{"bytes": None, "path": f"{i}.png"} for i in range(4)]
    for subset in ("train", "test"):
        pq.write_table(pa.table({"image": rows, "label": ["a", "a", "b", "b"]}), tmp_path / f"{subset}.parquet")
    for i in range(4):
        (tmp_path / f"{i}.png").write_bytes(encoded(np.full((8, 8, 3), i, np.uint8)))
    read = data.ReadOptions(size=None)
    before = data.load_split(str(tmp_path), None, None, read).train
    sizes = [(tmp_path / f"{i}.png").stat().st_size for i in range(4)]
    digest = before.digest()
    assert [before.index.size(i) for i in range(4)] == sizes
    (tmp_path / "0.png").write_bytes(encoded(np.eye(8, dtype=np.uint8).repeat(3, 1).reshape(8, 8, 3) * 99))
    assert data.load_split(str(tmp_path), None, None, read).train.digest() != digest
    (tmp_path / "0.png").unlink()
    assert before.index.size(0) == -1


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


def test_a_broken_root_gives_the_fault_and_the_file(tiny_pool, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(LongtailError, match=r"empty holds neither train.parquet"):
        data.load_split("cifar10-lt", 10, str(empty))
    with pytest.raises(LongtailError, match="nowhere is not a folder"):
        data.load_split("cifar10-lt", 10, str(tmp_path / "nowhere"))
    with pytest.raises(LongtailError, match=r"train.parquet names 10 classes, expected 100; is it the other CIFAR"):
        data.load_split("cifar100-lt", 10, str(tiny_pool))
    (tiny_pool / "test.parquet").unlink()
    with pytest.raises(LongtailError, match=r"test.parquet is missing"):
        data.load_split("cifar10-lt", 10, str(tiny_pool))
    whole = (tiny_pool / "train.parquet").read_bytes()
    for broken in (b"", b"no parquet", whole[: len(whole) // 2]):
        (tiny_pool / "train.parquet").write_bytes(broken)
        with pytest.raises(LongtailError, match=r"train.parquet is not a readable parquet file"):
            data.load_split("cifar10-lt", 10, str(tiny_pool))


def test_an_unreadable_image_or_one_of_another_size_names_its_row(tiny_pool):
    write_parquet(tiny_pool / "test.parquet", np.arange(20) % 10, spoil=7)
    with pytest.raises(LongtailError, match=r"test.parquet, row 7: not an image that Pillow reads"):
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
        batch = {"data": rng.integers(0, 256, (20, 3072), np.uint8), "labels": list(np.arange(20) % 10)}
        (folder / name).write_bytes(pickle.dumps(batch))
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


def test_labels_keep_their_numbers_if_the_schema_names_no_classes(tiny_pool):
    images = [{"bytes": encoded(np.zeros((32, 32, 3), np.uint8)), "path": None}] * 3
    pq.write_table(pa.table({"image": images, "label": [7, 0, 3]}), tiny_pool / "train.parquet")
    listed = list_cifar_file(tiny_pool / "train.parquet", 10)
    assert listed.codes.tolist() == [7, 0, 3] and listed.names == [str(label) for label in range(10)]


def test_sixteen_pixels_are_the_means_of_two_by_two(tiny_pool):
    write_parquet(tiny_pool / "train.parquet", np.repeat(np.arange(10), data.exponential_counts(10, 10, 5)), noise=True)
    write_parquet(tiny_pool / "test.parquet", np.arange(20) % 10, noise=True)
    whole, half = (
        data.load_split("cifar10-lt", 10, str(tiny_pool), reading=data.ReadOptions(size=size, val_share=0.2))
        for size in (None, 16)
    )
    for name, images in half.subsets.items():
        full = whole.subsets[name]
        assert images.images.shape[1:] == (3, 16, 16) and torch.equal(images.labels, full.labels)
        for i, channel, y, x in np.ndindex(min(len(images), 3), 3, 16, 16):
            square = full.images[i, channel, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
            assert images.images[i, channel, y, x].item() == round(sum(square.flatten().tolist()) / 4)
    assert half.classes == whole.classes


def test_a_size_that_does_not_divide_the_side_is_refused():
    with pytest.raises(LongtailError, match=r"digits-lt has images of 8 x 8; .* 3 does not divide 8"):
        data.load_split("digits-lt", 50, reading=data.ReadOptions(size=3))


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(LongtailError, match="unknown data 'cifar10lt'; did you mean 'cifar10-lt'"):
        data.load_split("cifar10lt", 100)


FAULTY_LABELS = {
    "text": (["a", "b"], "train.parquet must hold labels 0 to 9 but has label a"),
    "fractions": ([0.5, 1.5], "train.parquet: the labels are double with 0 missing; they must be whole numbers"),
    "missing": ([0, None], "train.parquet: the labels are int64 with 1 missing; they must be whole numbers"),
    "too large": ([0, 10], "train.parquet must hold labels 0 to 9 but has label 10"),
    "none": (pa.array([], pa.int64()), "train.parquet holds no rows"),
}


@pytest.mark.parametrize("case", FAULTY_LABELS)
def test_labels_that_are_not_the_numbers_of_the_classes_are_refused(tiny_pool, case):
    labels, message = FAULTY_LABELS[case]
    image = {"bytes": encoded(np.zeros((32, 32, 3), np.uint8)), "path": "x"}
    images = pa.array([image, image])[: len(labels)]
    pq.write_table(pa.table({"image": images, "label": labels}), tiny_pool / "train.parquet")
    with pytest.raises(LongtailError, match=message):
        data.load_split("cifar10-lt", 10, str(tiny_pool))


def test_classes_without_training_images_are_noted():
    assert "classes: 7, 8, 9" in data.load_split("digits-lt", 1000).classes.notes()[0]
    assert not data.load_split("digits-lt", 50).classes.notes()


def test_root_may_be_the_folder_of_a_known_set_or_the_folder_above_it(tmp_path):
    for subset in ("train", "test"):
        for label, name in enumerate(("ant", "bee")):
            path = tmp_path / "caltech101" / subset / name / "0.png"
            path.parent.mkdir(parents=True)
            Image.new("RGB", (8, 8), (90 * label, 0, 0)).save(path)
    inside, above = (
        data.load_split("caltech101", None, str(root), data.ReadOptions(size=8))
        for root in (tmp_path / "caltech101", tmp_path)
    )
    assert inside.classes == above.classes and inside.train.images.equal(above.train.images)

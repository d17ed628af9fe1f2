"""Data sets of the hub: read at one commit, offline from the cache, and every failure is one line without a token."""

import io
import json
import logging

import huggingface_hub.file_download
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from huggingface_hub import constants
from PIL import Image

import longtail
from longtail import LongtailError
from longtail.commands import app
from longtail.commands.inspect import inspect_data
from longtail.data import ReadOptions, load_split
from longtail.hub import hide_secrets
from longtail.inspection import suggestions
from longtail.launch import train
from longtail.recipes import recipe_for
from longtail.tracking import SilentReport
from tests.hub_server import TOKEN

READ = ReadOptions(size=12)
CARD = b"""---
license: mit
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': cat
          '1': dog
          '2': newt
---
# Pets
"""


def make_image(label: int, number: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((12, 12, 3), 40 * abs(label) + number, np.uint8)).save(content, "PNG")
    return content.getvalue()


def make_shard(labels: list[int], names: list[str] | None = None, first: int = 0) -> bytes:
    """Return a parquet file in the layout of the hub: images as struct{bytes, path}, and whole numbers as labels."""
    rows = [{"bytes": make_image(y, first + i), "path": f"{first + i}.png"} for i, y in enumerate(labels)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(rows, kind), "label": pa.array(labels, pa.int64())})
    if names:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    content = io.BytesIO()
    pq.write_table(table, content)
    return content.getvalue()


def make_pets(shift: int = 0) -> dict[str, bytes]:
    """Return the files of a data set of two training shards and a test shard."""
    return {
        "README.md": CARD,
        "data/train-00000-of-00002.parquet": make_shard([0] * 8 + [1] * 4, first=shift),
        "data/train-00001-of-00002.parquet": make_shard([2] * 2 + [0] * 2, first=20 + shift),
        "data/test-00000-of-00001.parquet": make_shard([0, 1, 2, 2], first=30 + shift),
    }


def test_shards_are_joined_and_classes_take_their_names_from_the_card(hub):
    repository = hub.add("me/pets", make_pets())
    split = load_split("hf:me/pets", None, None, READ)
    assert split.classes.names == ("cat", "dog", "newt") and split.classes.counts == (10, 4, 2)
    assert split.test.labels.tolist() == [0, 1, 2, 2]
    assert split.train.images[12, 0, 0, 0] == 80 + 20  # the first image of the second shard
    commit = repository.branches["main"]
    assert split.commits == split.describe()["commits"] == {"hf:me/pets": commit}
    assert any(note.startswith(f"hf:me/pets at commit {commit[:12]}: 3 parquet files, ") for note in split.notes)


def test_names_in_the_files_come_before_those_of_the_card(hub):
    files = {"README.md": CARD, "train.parquet": make_shard([0, 1, 1], ["Katze", "Hund"])}
    hub.add("me/pets", files | {"validation.parquet": make_shard([1, 0], ["Katze", "Hund"])})
    split = load_split("hf:me/pets", None, None, READ)
    assert split.classes.names == ("Hund", "Katze") and split.classes.counts == (2, 1)
    assert any("the val subset is used for testing" in note for note in split.notes)


CONFIGS = b"""---
configs:
- config_name: small
  data_files:
  - split: train
    path: a/train-*
  - split: test
    path: [a/test-0.parquet, a/test-1.parquet]
  - split: extra
    path: a/extra.parquet
- config_name: large
  data_files: b/*.parquet
%s---
"""


def test_a_configuration_of_the_card_is_named_or_the_default_and_other_splits_are_left_out(hub):
    files = {f"a/test-{k}.parquet": make_shard([0, 1]) for k in range(2)}
    files |= {"a/train-0.parquet": make_shard([0, 1, 1]), "a/extra.parquet": b"never read"}
    files |= {"b/x.parquet": make_shard([0] * 5 + [1] * 5)}
    repository = hub.add("me/pets", files | {"README.md": CONFIGS % b""})
    with pytest.raises(LongtailError, match=r"has the configurations small, large; name one, such as hf:me/pets/small"):
        load_split("hf:me/pets", None, None, READ)
    with pytest.raises(LongtailError, match=r"has no configuration tiny; it has small, large"):
        load_split("hf:me/pets/tiny", None, None, READ)
    split = load_split("hf:me/pets/small", None, None, READ)
    assert (len(split.train), len(split.test)) == (3, 4)
    assert any("the split extra of hf:me/pets/small is neither train, val nor test" in note for note in split.notes)
    assert not any("extra.parquet" in line for line in hub.asked)
    repository.commit(files | {"README.md": CONFIGS % b"  default: true\n"})
    large = load_split("hf:me/pets", None, None, ReadOptions(size=12, test_share=0.2))
    assert len(large.train) + len(large.test) == 10
    named = load_split("hf:me/pets/large", None, None, ReadOptions(size=12, test="hf:me/pets/small"))
    assert (len(named.train), len(named.test)) == (10, 4) and named.commits.keys() == {
        "hf:me/pets/large",
        "hf:me/pets/small",
    }


def test_a_default_configuration_without_files_of_its_own_is_no_default(hub):
    card = CONFIGS % b"- config_name: other\n  default: true\n  data_dir: c\n"
    hub.add("me/folders", {"b/x.parquet": make_shard([0, 1]), "README.md": card})
    with pytest.raises(LongtailError, match=r"has the configurations small, large; name one"):
        load_split("hf:me/folders", None, None, READ)


def test_folders_name_configurations_and_subsets_where_the_hub_made_the_parquet_files(hub):
    repository = hub.add("me/zipped", {"images.zip": b"zip", "README.md": b"---\nlicense: mit\n---\n"})
    with pytest.raises(LongtailError, match=r"holds no parquet files \(README.md, images.zip\), and the hub made none"):
        load_split("hf:me/zipped", None, None, READ)
    files = {"default/train/0000.parquet": make_shard([0, 1]), "default/train/0001.parquet": make_shard([1])}
    commit = repository.commit(files | {"default/test/0000.parquet": make_shard([0])}, "refs/convert/parquet")
    split = load_split("hf:me/zipped", None, None, READ)
    assert (len(split.train), len(split.test), split.commits["hf:me/zipped"]) == (3, 1, commit)
    again = load_split("hf:me/zipped", None, None, ReadOptions(size=12, commits=split.commits))
    assert torch.equal(again.train.images, split.train.images)


def test_a_test_subset_without_labels_is_left_out(hub):
    files = {"train.parquet": make_shard([0] * 6 + [1] * 4), "test.parquet": make_shard([-1, -1])}
    hub.add("me/pets", files)
    split = load_split("hf:me/pets", None, None, ReadOptions(size=12, default_test_share=0.2))
    assert len(split.train) + len(split.test) == 10
    assert "the test images of hf:me/pets have no labels and are left out" in split.notes


def test_the_path_of_a_row_without_bytes_opens_no_file_of_this_machine(hub, tmp_path):
    (tmp_path / "mine.png").write_bytes(make_image(1, 0))
    rows = [{"bytes": None, "path": str(tmp_path / "mine.png")}, {"bytes": make_image(0, 0), "path": "a.png"}]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    content = io.BytesIO()
    pq.write_table(pa.table({"image": pa.array(rows, kind), "label": [0, 1]}), content)
    hub.add("me/trap", {"train.parquet": content.getvalue(), "test.parquet": make_shard([0, 1])})
    with pytest.raises(LongtailError, match=r"train.parquet, row 0: empty"):
        load_split("hf:me/trap", None, None, READ)


@pytest.mark.parametrize(
    ("name", "faults", "message"),
    [
        ("hf:me/none", {}, "the hub has no such repository, or a private one"),
        ("hf:me/pets@v9", {}, "the repository has no such revision; check what follows @"),
        ("hf:me/pets@" + "0" * 40, {}, "the repository has no such revision; check what follows @"),
        ("hf:me/pets", {"gated": True}, "this repository is gated: accept its terms on huggingface.co"),
        ("hf:me/pets", {"private": True}, "the hub has no such repository, or a private one"),
    ],
)
def test_what_the_hub_does_not_give_is_one_line_with_a_remedy(hub, name, faults, message):
    repository = hub.add("me/pets", make_pets())
    for key, value in faults.items():
        setattr(repository, key, value)
    with pytest.raises(LongtailError) as refused:
        load_split(name, None, None, READ)
    assert str(refused.value).startswith(f"data {name}: {message}") and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["hf:pets", "hf:", "hf:me/pets@", "hf:me pets/x", "hf:me/../pets@a/b@c"])
def test_what_is_no_name_of_the_hub_is_refused_before_any_request(hub, name):
    with pytest.raises(LongtailError, match=r"write hf:owner/name\[@revision\]\[/config\]"):
        longtail.train(name, "ce")
    assert hub.asked == []


def test_without_a_network_data_come_from_the_cache_or_one_line_says_what_to_do(hub, monkeypatch):
    hub.add("me/pets", make_pets())
    first = load_split("hf:me/pets", None, None, READ)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")  # nothing listens there
    again = load_split("hf:me/pets", None, None, READ)
    assert again.digest("train") == first.digest("train") and again.commits == first.commits
    with pytest.raises(LongtailError, match=r"^data hf:me/other: the hub cannot be reached and the file is not in the"):
        load_split("hf:me/other", None, None, READ)
    asked = len(hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_split("hf:me/pets", None, None, READ).digest("test") == first.digest("test")
    with pytest.raises(LongtailError, match="HF_HUB_OFFLINE is set and the file is not in the local cache"):
        load_split("hf:me/other", None, None, READ)
    assert len(hub.asked) == asked


def test_an_interrupted_download_is_refused_offline_and_completed_by_the_next_run(hub, monkeypatch):
    hub.add("me/pets", make_pets())
    monkeypatch.setattr(huggingface_hub.file_download.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 64)
    hub.cut_after = 256
    with pytest.raises(LongtailError, match=r"the connection to the hub failed .*files that are complete are kept$"):
        load_split("hf:me/pets", None, None, READ)
    assert any(line.endswith("parquet bytes=256-") for line in hub.asked)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LongtailError, match="HF_HUB_OFFLINE is set"):
        load_split("hf:me/pets", None, None, READ)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.cut_after = None
    hub.asked.clear()
    split = load_split("hf:me/pets", None, None, READ)
    assert split.classes.counts == (10, 4, 2)
    assert not any("README" in line or "/tree/" in line for line in hub.asked)


def train_pets(out, **how):
    recipe = recipe_for("hf:me/pets", "scratch", method="ce", net="resnet8", epochs=1, size=12, batch_size=4)
    train(recipe, out, SilentReport(), threads=1, **how)
    return longtail.load(out)


def test_a_resumed_and_an_evaluated_run_read_the_commit_of_its_beginning(hub, tmp_path, monkeypatch, capsys):
    repository = hub.add("me/pets", make_pets())
    commit = repository.branches["main"]
    model = train_pets(tmp_path / "run")
    assert model.run.split["commits"] == {"hf:me/pets": commit} and model.recipe.data == "hf:me/pets"
    moved = repository.commit(make_pets(shift=5))
    for name in ("results.json", "manifest.json"):
        (tmp_path / "run" / name).unlink()
    resumed = train_pets(tmp_path / "run", resume=True)
    assert resumed.results == model.results and resumed.run.split["commits"] == {"hf:me/pets": commit}
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(SystemExit) as stop:
        app.main(["evaluate", str(tmp_path / "run")])
    assert stop.value.code == 0 and "me-pets" in capsys.readouterr().out
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    with pytest.raises(SystemExit):
        app.main(["evaluate", str(tmp_path / "run"), "--data", f"hf:me/pets@{moved}"])
    assert "was begun with other test images" in capsys.readouterr().err
    assert train_pets(tmp_path / "new").run.split["commits"] == {"hf:me/pets": moved}


def test_inspect_takes_a_name_of_the_hub_and_root_is_refused(hub, tmp_path, monkeypatch, capsys):
    hub.add("me/pets", make_pets())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(suggestions, "measure_suggestions", lambda commands, facts: [])  # it takes many seconds
    with pytest.raises(SystemExit) as stop:
        app.main(["inspect", "hf:me/pets"])
    assert stop.value.code == 0 and (tmp_path / "inspect-me-pets.html").is_file()
    assert "me-pets  hf:me/pets" in capsys.readouterr().out
    facts = inspect_data("hf:me/pets", None, None, None, None, False)
    assert all("longtail train hf:me/pets" in row.command for row in suggestions.suggest_commands(facts, {}))
    with pytest.raises(SystemExit) as stop:
        app.main(["train", "hf:me/pets", "--root", "here"])
    assert stop.value.code == 2 and "leave --root out" in capsys.readouterr().err


def test_no_message_and_no_log_holds_a_token(hub, monkeypatch, caplog, capsys):
    hub.add("me/pets", make_pets())
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    monkeypatch.setattr(hub, "error", 401)
    with pytest.raises(LongtailError) as refused:
        load_split("hf:me/pets", None, None, READ)
    said = f"{refused.value} {refused.value.__cause__} {caplog.text} {capsys.readouterr()}"
    assert "hf_wrong" not in said
    texts = [f"Illegal header value b'Bearer {TOKEN}'", f"https://me:{TOKEN}@hub.test/x?X-Signature={TOKEN}&a=b", TOKEN]
    assert all("hf_abc" not in hide_secrets(text) and "Signature" not in hide_secrets(text) for text in texts)
    monkeypatch.setenv("HF_TOKEN", "a-token-of-another-form")
    assert hide_secrets("refused: a-token-of-another-form") == "refused: ***"

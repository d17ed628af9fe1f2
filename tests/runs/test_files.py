"""Files of a run: whole or not at all, regular files only, and every damaged one named in one line."""

import csv
import os
import socket
from pathlib import Path

import pytest
import torch

from longtail import LongtailError
from longtail.nets.pretrained import load_weights_file
from longtail.runs.files import (
    atomic_path,
    hash_file,
    read_csv,
    read_json,
    read_tensors,
    write_csv,
    write_tensors,
    write_text,
)

READERS = (read_json, read_csv, read_tensors, hash_file, lambda path: load_weights_file(str(path)))


@pytest.fixture(params=["fifo", "socket", "device", "link to a device", "folder"])
def special(request, tmp_path, monkeypatch) -> Path:
    """A path that is no regular file."""
    path = tmp_path / "special"
    if request.param == "fifo":
        os.mkfifo(path)
    elif request.param == "socket":
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        socket.socket(socket.AF_UNIX).bind("special")
    elif request.param == "device":
        return Path("/dev/zero")
    elif request.param == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return path


@pytest.mark.parametrize("read", READERS)
def test_what_is_no_regular_file_is_never_read(special, read):
    with pytest.raises(LongtailError, match="not a regular file") as refused:
        read(special)
    assert "\n" not in str(refused.value) and str(special) in str(refused.value)


def test_what_is_no_regular_file_is_never_replaced(special):
    with pytest.raises(LongtailError, match="is left as it is"):
        write_text(special, "text")
    assert special.exists() and not special.is_file() and not list(special.parent.glob(".special*"))


@pytest.mark.parametrize("read", READERS[:4])
def test_a_file_without_permission_is_not_called_missing(tmp_path, read, monkeypatch):
    write_tensors(tmp_path / "a.safetensors", {"a": torch.zeros(1)})

    def refuse(path, *arguments, **options):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)  # tests may run as root, whom no mode keeps out
    with pytest.raises(LongtailError, match=r"a\.safetensors cannot be read: permission denied"):
        read(tmp_path / "a.safetensors")


@pytest.mark.parametrize("read", READERS[:4])
def test_a_missing_file_is_named(tmp_path, read):
    with pytest.raises(LongtailError, match=r"nothing\.json cannot be read: no such file"):
        read(tmp_path / "nothing.json")


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000, '{"a": 1' + "0" * 5000 + "}", "\xff", "null"])
def test_a_file_that_is_no_dictionary_is_one_line(tmp_path, text):
    (tmp_path / "a.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(LongtailError, match=r"a\.json") as refused:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(refused.value)


def test_a_write_that_fails_leaves_what_was_there_and_no_litter(tmp_path):
    write_text(tmp_path / "results.json", "old")
    with pytest.raises(LongtailError, match="untouched"), atomic_path(tmp_path / "results.json") as temporary:
        temporary.write_text("half of the n")
        raise OSError(28, "No space left on device")
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"] and (tmp_path / "results.json").read_text() == "old"


@pytest.mark.parametrize("can_link", [True, False])
def test_a_new_file_never_replaces_one_that_appeared_meanwhile(tmp_path, monkeypatch, can_link):
    def refuse(*_):
        raise PermissionError("no hard links")

    if not can_link:
        monkeypatch.setattr("os.link", refuse)
    target = tmp_path / "x.csv"
    with pytest.raises(LongtailError, match=r"cannot write .*x.csv"), atomic_path(target, is_new=True) as temporary:
        temporary.write_text("ours")
        target.write_text("theirs")
    assert target.read_text() == "theirs" and list(tmp_path.iterdir()) == [target]
    target.unlink()
    with atomic_path(target, is_new=True) as temporary:
        temporary.write_text("ours")
    assert target.read_text() == "ours" and list(tmp_path.iterdir()) == [target]


def test_the_hash_of_a_file_is_its_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert hash_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


NAMES = ["=1+1", "+1", "-1", "@A1", "\tx", "\rx", "a\r\nb", "'=1", "''-x", "'s-Hertogenbosch", "", 'a,"b"', "\x1b[2J"]


def test_no_name_in_a_table_of_a_run_is_a_formula_and_every_name_is_read_again(tmp_path):
    rows = [{"class": c, "name": name, "-loss": -0.5} for c, name in enumerate(NAMES)]
    write_csv(tmp_path / "a.csv", rows)
    with (tmp_path / "a.csv").open(newline="") as file:
        for cells in csv.reader(file):
            assert not cells[1].startswith(("=", "+", "-", "@", "\t", "\r")) and cells[2] in ("'-loss", "-0.5")
    assert read_csv(tmp_path / "a.csv") == [{key: str(cell) for key, cell in row.items()} for row in rows]

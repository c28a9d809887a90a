"""Labelled data: every way to give labels gives the same ones, whatever is unlabelled stays as it was."""

import json

import numpy as np
import pytest
from PIL import Image

from catgen.data.sets.array_file import array_file
from catgen.data.sets.label_maps import label_maps
from catgen.data.sets.text_lines import text_lines
from catgen.interfaces import EventSpec, InputError
from catgen.sources import Attribute

WORDS = ["red", "blue", "", "red", "green", "blue"]
NUMBERS = [[2], [0], [3], [2], [1], [0]]  # blue, green, red; 3 = not given
TEXTS = ["ab c", "bb", "c", "a\tb", "cca", "b"]
MAPS = np.random.default_rng(0).integers(0, 3, (6, 3, 4)).astype(np.uint8)
LABELS = (Attribute("label", ("blue", "green", "red")),)


def write(path, content):
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return str(path)


def given(source):
  """Returns x and labels of all splits, in order."""
  batches = [split.examples(np.arange(split.num_examples)) for split in source.splits.values()]
  return [np.concatenate([getattr(batch, name) for batch in batches]) for name in ("x", "given")]


def lines(column, separator="\t", breaks="\n"):
  pairs = zip(WORDS, TEXTS, strict=True)
  return breaks.join(separator.join([word, text] if column == 0 else [text, word]) for word, text in pairs)


@pytest.mark.parametrize("column", [0, -1])
@pytest.mark.parametrize("separator", ["\t", "::"])
@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("letter", ["a", "\u00e4"])
def test_a_column_of_labels_is_no_part_of_the_records(tmp_path, column, separator, breaks, letter):
  path = write(tmp_path / "a.tsv", (lines(column, separator, breaks) + breaks).replace("a", letter))
  source = text_lines(path, 4, splits=(3, 2, 1), label_column=column, separator=separator)
  bare = text_lines(write(tmp_path / "b.txt", "\n".join(TEXTS).replace("a", letter)), 4, splits=(3, 2, 1))
  x, labels = given(source)
  np.testing.assert_array_equal(x, [row for split in bare.splits.values() for row in split.examples(np.arange(
    split.num_examples)).x])  # fmt: skip
  assert labels.tolist() == NUMBERS
  assert source.attributes == LABELS
  assert source.event == bare.event._replace(given=(3,))
  assert all(split.given == (3,) for split in source.splits.values())
  assert source.codec.spec == bare.codec.spec
  assert source.bytes_per_position == bare.bytes_per_position


def test_labels_stay_with_their_lines_where_lines_are_dropped_or_split_by_hash(tmp_path):
  rng = np.random.default_rng(0)
  texts = ["".join(rng.choice(list("abc"), rng.integers(1, 12))) for _ in range(300)]
  path = write(tmp_path / "a.tsv", "\n".join(f"{text[-1]}{len(text) % 2}\t{text}" for text in texts))
  source = text_lines(path, 8, longer="drop", label_column=0)
  (attribute,) = source.attributes
  for split in source.splits.values():
    batch = split.examples(np.arange(split.num_examples))
    for x, valid, label in zip(batch.x, batch.valid, batch.given, strict=True):
      text = source.codec.decode(x, valid)
      assert attribute.values[label[0]] == f"{text[-1]}{len(text) % 2}"


def test_a_cut_line_is_left_out_with_its_label(tmp_path):
  path = write(tmp_path / "a.tsv", "x\tab\ny\tba\nz\tbb")
  source = text_lines(path, 4, splits=(2, 0, 0), max_bytes=13, label_column=0)
  assert source.attributes == (Attribute("label", ("x", "y")),)
  assert source.splits["train"].num_examples == 2


def test_labels_are_part_of_the_fingerprint_and_nothing_else_has_changed(tmp_path):
  def fingerprint(content, **keywords):
    return text_lines(write(tmp_path / "a.txt", content), 4, splits=(3, 2, 1), **keywords).fingerprint

  labelled, other = lines(0), lines(0).replace("green", "gray")
  assert fingerprint(labelled, label_column=0) == fingerprint(lines(-1), label_column=-1)
  found = {fingerprint("\n".join(TEXTS)), fingerprint(labelled, label_column=0), fingerprint(other, label_column=0)}
  assert len(found) == 3
  swapped = labelled.replace("red", "?").replace("blue", "red").replace("?", "blue")
  assert fingerprint(swapped, label_column=0) not in found


@pytest.mark.parametrize(
  ("content", "keywords", "message"),
  [
    ("x\tab\nno tab here", {}, r"a\.tsv: line 2 has no separator '\\t' between label and text"),
    ("x\tab\n\ny\t\r\nz\tb", {}, r"a\.tsv: line 3 has no text beside its label"),
    ("x\tab", {"label_column": 1}, r"label_column is 1 .* first \(0\) or the last \(-1\)"),
    ("x\tab", {"separator": ""}, "separator ''"),
    ("\tab\n\tb", {}, "no record has a label"),
    ("\n\n", {}, "no complete line"),
  ],
)
def test_lines_without_label_or_text_are_named(tmp_path, content, keywords, message):
  with pytest.raises(InputError, match=message) as caught:
    text_lines(write(tmp_path / "a.tsv", content), 4, **{"label_column": 0, **keywords})
  assert "\n" not in str(caught.value)


def folder(path, places):
  for place, ids in zip(places, MAPS, strict=True):
    (path / place).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids).save(path / place)
  return str(path)


@pytest.mark.parametrize("form", ["csv", "json"])
@pytest.mark.parametrize("inside", [True, False])
def test_a_table_gives_labels_to_files_by_path_or_name(tmp_path, form, inside):
  places = [f"{'ab'[i % 2]}/{i}.png" for i in range(6)]
  table = {place if inside else place.split("/")[1]: word for place, word in zip(places, WORDS, strict=True)}
  content = json.dumps(table) if form == "json" else "\n".join(["file,color", *map(",".join, table.items())])
  path = write(tmp_path / f"table.{form}", content)
  source = label_maps(folder(tmp_path / "maps", places), splits=(4, 1, 1), labels=path, flip=True)
  x, labels = given(source)
  order = [0, 2, 4, 1, 3, 5]  # of the paths
  np.testing.assert_array_equal(x, MAPS[order])
  assert labels.tolist() == [NUMBERS[i] for i in order]
  assert source.attributes == LABELS
  copies = source.splits["train"].crops(np.arange(8))
  np.testing.assert_array_equal(copies.given, np.repeat(labels[:4], 2, axis=0))  # a mirrored map has its map's label


@pytest.mark.parametrize("splits", [False, True])
def test_folders_are_labels(tmp_path, splits):
  names = [word or "none" for word in WORDS]
  tops = ["train/", "val/"] if splits else ["", ""]
  places = [f"{tops[i == 5]}{name}/{i}.png" for i, name in enumerate(names)]
  source = label_maps(folder(tmp_path, places), splits=(6, 0, 0), labels="folder")
  (attribute,) = source.attributes
  assert attribute == Attribute("label", ("blue", "green", "none", "red"))
  x, labels = given(source)
  found = {ids.tobytes(): attribute.values[label[0]] for ids, label in zip(x.astype(np.uint8), labels, strict=True)}
  assert found == {ids.tobytes(): name for ids, name in zip(MAPS, names, strict=True)}


@pytest.mark.parametrize(
  ("places", "labels", "message"),
  [
    (None, "folder", "lies in no folder that could be its label"),
    ([f"train/{i}.png" for i in range(6)], "folder", "lies in no folder that could be its label"),
    (None, "table.csv", r"table\.csv has no label of 0\.png; add it"),
    (None, "missing.csv", r"missing\.csv does not exist"),
    (None, "folders", "labels is 'folders'; give a .json or a .csv file"),
  ],
)
def test_files_without_labels_are_named(tmp_path, monkeypatch, places, labels, message):
  monkeypatch.chdir(tmp_path)
  write(tmp_path / "table.csv", "1.png,red")
  path = folder(tmp_path / "maps", places or [f"{i}.png" for i in range(6)])
  with pytest.raises(InputError, match=message) as caught:
    label_maps(path, splits=(4, 1, 1), labels=labels)
  assert "\n" not in str(caught.value)


def npz(path, **arrays):
  np.savez(path, **arrays)
  return str(path)


TWO = np.array([[0, 4], [1, 0], [-1, 2], [1, 1], [0, 3], [1, 0]])


@pytest.mark.parametrize("read", [array_file, label_maps])
def test_arrays_bring_labels_along(tmp_path, read):
  single = npz(tmp_path / "a.npz", maps=MAPS, given=TWO)
  named = npz(
    tmp_path / "b.npz", train=MAPS[:4], val=MAPS[4:5], test=MAPS[5:], given_train=TWO[:4].astype(np.int8),
    given_validation=TWO[4:5], given_test=TWO[5:].astype(">i2"))  # fmt: skip
  sources = [read(single, splits=(4, 1, 1)), read(named)]
  for source in sources:
    x, labels = given(source)
    np.testing.assert_array_equal(x, MAPS)
    np.testing.assert_array_equal(labels, np.where(TWO < 0, [2, 5], TWO))
    assert source.event == EventSpec((3, 4), 3, (2, 5))
    assert [attribute.name for attribute in source.attributes] == ["label_0", "label_1"]
    assert source.attributes[1].values == ("0", "1", "2", "3", "4")
  assert sources[0].fingerprint == sources[1].fingerprint
  bare = read(npz(tmp_path / "c.npz", maps=MAPS), splits=(4, 1, 1))
  assert bare.fingerprint != sources[0].fingerprint
  assert (bare.event.given, bare.attributes) == ((), ())


def test_records_split_by_hash_keep_their_labels(tmp_path):
  x = np.random.default_rng(0).integers(0, 9, (400, 5))
  source = array_file(npz(tmp_path / "a.npz", x=x, given=x[:, 0]), splits=(0.5, 0.25, 0.25))
  values, labels = given(source)
  np.testing.assert_array_equal(labels[:, 0], values[:, 0])


@pytest.mark.parametrize(
  ("arrays", "keywords", "message"),
  [
    ({"x": MAPS, "given": TWO[:5]}, {}, "5 labels are given for the 6 examples; give one for each"),
    ({"x": MAPS, "given": TWO / 2}, {}, "array given must hold whole numbers from 0, or -1"),
    ({"x": MAPS, "given": TWO - 2}, {}, "array given must hold whole numbers from 0, or -1 .*, and holds -3$"),
    ({"x": MAPS, "given": TWO[..., None]}, {}, r"has shape \(6, 2, 1\)"),
    ({"x": MAPS, "given": np.full(6, -1)}, {}, "label is never given; leave it out"),
    ({"train": MAPS, "test": MAPS, "given_train": TWO}, {}, "0 labels are given for the 6 examples of 'test'"),
    ({"train": MAPS, "given_train": TWO, "test": MAPS, "given_test": TWO[:, 0]}, {}, "different numbers of attributes"),
    ({"x": np.arange(40), "given": TWO}, {"length": 5}, "a stream that is cut into sequences has no labels"),
  ],
)
def test_labels_that_do_not_fit_are_named(tmp_path, arrays, keywords, message):
  with pytest.raises(InputError, match=message) as caught:
    array_file(npz(tmp_path / "a.npz", **arrays), splits=(1.0, 0, 0), **keywords)
  assert "\n" not in str(caught.value)

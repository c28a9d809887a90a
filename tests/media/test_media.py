"""What every medium must do: files and typed examples come back, all that it shows fits the terminal."""

import os

import numpy as np
import pytest
from PIL import Image

from catgen.batches import batch_of
from catgen.data.characters import UNKNOWN
from catgen.data.codecs import alphabet_codec, byte_codec, integer_codec
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of
from catgen.media.medium import Pattern, chain_labels, evenly, marked, read_array
from catgen.sources import Legend

ALPHABET = "ab\n\\ n"
MEMBERS = {
  "text": media_of(EventSpec((6,), 6), alphabet_codec(ALPHABET), "character"),
  "bytes": media_of(EventSpec((6,), 256), byte_codec(), "byte"),
  "sequences": media_of(EventSpec((6,), 5), integer_codec(5, (6,)), "value"),
  "maps": media_of(EventSpec((4, 6), 3), integer_codec(3, (4, 6)), "pixel"),
  "named maps": media_of(
    EventSpec((4, 6), 2), integer_codec(2, (4, 6), Legend(("sky", "road"), ("#4682b4", "#804080"))), "pixel"
  ),
  "solids": media_of(EventSpec((2, 3, 4), 4), integer_codec(4, (2, 3, 4)), "value"),
}
EVENTS = {"text": ((6,), 6), "bytes": ((6,), 128), "sequences": ((6,), 5), "maps": ((4, 6), 3)}
EVENTS |= {"named maps": ((4, 6), 2), "solids": ((2, 3, 4), 4)}
FILES = {"text": "x.jsonl", "bytes": "x.jsonl"}


def examples(name, number=3, seed=0):
  shape, num_classes = EVENTS[name]
  return batch_of(np.random.default_rng(seed).integers(0, num_classes, (number, *shape)).astype(np.int32))


@pytest.mark.parametrize("name", MEMBERS)
def test_written_arrays_are_read_again(name, tmp_path):
  media, batch, path = MEMBERS[name], examples(name), str(tmp_path / "x.npy")
  media.written(path, batch)
  np.testing.assert_array_equal(np.load(path), batch.x)
  again = media.read(path)
  np.testing.assert_array_equal(again.x, batch.x)
  assert again.valid.all()
  np.testing.assert_array_equal(again.index, [0, 1, 2])


@pytest.mark.parametrize("name", MEMBERS)
def test_one_example_takes_one_line_where_lines_are_examples(name, tmp_path):
  media, batch = MEMBERS[name], examples(name, 5)
  shown = media.shown(batch)
  assert len(shown) == (5 if media.line_each else 1)
  if name in FILES:
    assert all("\n" not in line for line in shown)
    media.written(str(tmp_path / FILES[name]), batch)
    assert len((tmp_path / FILES[name]).read_bytes().split(b"\n")) == 6


def test_typed_texts_are_filled_up_and_too_long_ones_refused():
  batch = MEMBERS["text"].typed(["ab", "abbaab"])
  assert batch.valid.sum(axis=1).tolist() == [2, 6]
  assert MEMBERS["text"].shown(batch) == ["ab", "abbaab"]
  with pytest.raises(InputError, match=r"the input has shape \(7,\).*cut it"):
    MEMBERS["text"].typed(["abbaaba"])
  with pytest.raises(InputError, match="character 'c'"):
    MEMBERS["text"].typed(["abc"])
  with pytest.raises(InputError, match="is needed here"):
    MEMBERS["maps"].typed([np.zeros((4, 5), int)])


def test_lines_are_called_by_their_number(tmp_path):
  path = tmp_path / "x.txt"
  path.write_text("ab\n\nb a\n")
  assert MEMBERS["text"].read(str(path)).index.tolist() == [1, 3]
  for content, message in [
    (b"ab\nabbaaba", "line 2: the input has shape"),
    (b"ABA", "line 1: character 'A'"),
    (b"\n\n", "no text"),
    (b"\xffa", "UTF-8"),
  ]:
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
      MEMBERS["text"].read(str(path))


@pytest.mark.parametrize(
  ("content", "message"),
  [
    (np.zeros((2, 4, 7), int), "give one example of 4 x 6"),
    (np.zeros((0, 4, 6), int), "no data|give one example"),
    (np.full((4, 6), 3), "category 3 at index"),
    (np.full((4, 6), -1), "number 0, has no category at all"),
    (np.full((4, 6), -2), "category -2 at index"),
    (np.zeros((4, 6)), "integers are needed"),
    ({"train": np.zeros((2, 4, 6), int)}, "several arrays"),
    (None, "does not exist"),
  ],
)
def test_arrays_that_do_not_fit_are_one_line(tmp_path, content, message):
  path = tmp_path / "array.npz"
  if isinstance(content, dict):
    np.savez(path, **content)
  elif content is not None:
    with open(path, "wb") as file:
      np.save(file, content)
  with pytest.raises(InputError, match=message):
    MEMBERS["maps"].read(str(path))


def test_holes_are_read_where_they_may_be(tmp_path):
  path, x = str(tmp_path / "x.npy"), examples("maps").x.copy()
  x[1, 2, 3] = -1
  np.save(path, x)
  np.testing.assert_array_equal(MEMBERS["maps"].read_holes(path).x, x)
  np.save(path, np.full((4, 6), -2))
  with pytest.raises(InputError, match="category -2"):
    MEMBERS["maps"].read_holes(path)
  np.testing.assert_array_equal(read_array(path), np.full((4, 6), -2))


def test_a_pattern_is_typed():
  pattern = MEMBERS["text"].parse("a#b", hole="#", pad=True)
  assert pattern.observed.tolist() == [True, False, True, False, False, False]
  assert pattern.x[[0, 2]].tolist() == [0, 1]


def test_what_has_no_category_is_marked(tmp_path):
  x, valid = np.array([[[0, 1]]]), np.array([[[True, False]]])
  assert marked(batch_of(x, valid)).tolist() == [[[0, -1]]]
  assert MEMBERS["text"].shown(batch_of(np.array([[0, -1, 1, 0, 0, 0]], np.int32))) == [f"a{UNKNOWN}baaa"]


def test_maps_are_summed_up_by_their_largest_categories():
  x = np.zeros((2, 4, 6), np.int32)
  x[0] = 1
  assert MEMBERS["named maps"].shown(batch_of(x)) == ["2 maps of 4 x 6 pixels: sky 50.0%, road 50.0%"]
  x[1] = -1
  assert MEMBERS["named maps"].shown(batch_of(x)) == ["2 maps of 4 x 6 pixels: road 100.0%"]


@pytest.mark.parametrize("name", MEMBERS)
def test_a_set_beside_itself_shows_no_divergence(name):
  sets = {"samples": examples(name, 20), "training": examples(name, 20)}
  table = {row[0]: row[1:] for row in MEMBERS[name].compared(sets)}
  divergences = [row for title, row in table.items() if "divergence" in title]
  assert len(divergences) == (2 if len(EVENTS[name][0]) == 1 else 3)
  assert all(row == ["0.0000", "0.0000"] for row in divergences)
  assert table["examples"] == ["20", "20"]
  assert ("words that training has" in table) == (name in FILES)


@pytest.mark.parametrize(
  "name",
  [pytest.param(name, marks=pytest.mark.slow if name == "maps" else ()) for name in MEMBERS],  # as with names
)
def test_every_picture_that_a_medium_has_is_drawn(name, tmp_path):
  draw, batch, path = MEMBERS[name].pictured, examples(name, 4), str(tmp_path / "x.png")
  written = []
  if draw.samples is not None:
    draw.samples(path, batch, title="samples")
    draw.beside(path, {"one": batch, "other": batch}, title="both")
    draw.models(path, {"one": batch, "other": batch})
    draw.statistics(path, {"one": batch, "other": batch})
    draw.corrections(path, {"before": batch.x[0], "after": batch.x[1]})
    pattern = Pattern(batch.x[0], np.tri(4, 6).astype(bool), batch.x[0])
    written += [path, *draw.completions(str(tmp_path), pattern, batch.x)]
  if draw.chain is not None:
    written += draw.chain(str(tmp_path), np.stack([batch.x, batch.x[::-1]]))
  assert all(Image.open(each).size[0] > 200 for each in written)
  assert set(written) == {str(tmp_path / each) for each in os.listdir(tmp_path)}
  assert len(written) == (0 if name in ("sequences", "solids") else 2 if name in FILES else 5)


def test_states_of_a_chain_are_lines_with_masks():
  assert MEMBERS["text"].frames(np.array([[0, 6, 1, 6, 0, 0]])) == ["a\u2591b\u2591aa"]
  assert chain_labels(3) == ["0%", "50%", "100%"]
  assert evenly(100, 3).tolist() == [0, 50, 99]
  assert evenly(2, 5).tolist() == [0, 1]


def test_media_are_chosen_by_what_they_are():
  assert [media.name for media in MEMBERS.values()] == ["sequences", "sequences", "arrays", "maps", "maps", "arrays"]
  assert [media.baselines is None for media in MEMBERS.values()] == [False] * 5 + [True]

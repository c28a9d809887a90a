"""Arrays, maps and tables: however integers are stored they mean the same, what is no category counts nowhere."""

import errno
import functools
import hashlib
import json
import os
import re
import struct
import warnings
import zipfile
import zlib

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.batches import batch_of
from catgen.data import from_spec, label_ids, reading, splits
from catgen.data.arrays import array_source
from catgen.data.category_table import make_table
from catgen.data.label_ids import MOST_CATEGORIES
from catgen.data.sets.array_file import array_file
from catgen.data.sets.label_maps import label_maps
from catgen.data.tables import read_table
from catgen.evaluation import neighbor_counts, ngrams, spelling
from catgen.evaluation.samples import frequencies
from catgen.interfaces import EventSpec, InputError
from catgen.media import media_of
from catgen.media.medium import HOLE, Pattern, marked
from catgen.runs.infill import _agreement

FRACTIONS = (0.8, 0.1, 0.1)
ALL = (1.0, 0.0, 0.0)
NUMBERS = np.arange(90 * 12, dtype=np.int64)
MAPS = ((NUMBERS * 2654435761 % 2**32 >> 13) % 5).reshape(90, 3, 4)  # five categories, by arithmetic alone


def refused(message, function, *arguments, **keywords):
  with pytest.raises(InputError, match=message) as caught:
    function(*arguments, **keywords)
  assert "\n" not in str(caught.value)
  return str(caught.value)


def mistake(function, *arguments, **keywords):
  """Returns what a user is told, "" where all is well; anything else than InputError is an error of the test's."""
  try:
    function(*arguments, **keywords)
  except InputError as error:
    return str(error)
  return ""


def saved(path, array):
  np.save(path, array) if path.suffix == ".npy" else np.savez(path, array)
  return str(path)


def in_folder(folder, maps, names=None):
  from PIL import Image

  for i, ids in enumerate(maps):
    path = folder / (names[i] if names else f"{i:02}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids.astype(np.uint8)).save(path)
  return str(folder)


def whole(source):
  """Returns the examples of all splits, in order."""
  parts = [split.examples(np.arange(split.num_examples)) for split in source.splits.values()]
  return batch_of(np.concatenate([part.x for part in parts]), np.concatenate([part.valid for part in parts]))


def sizes(source):
  return tuple(split.num_examples for split in source.splits.values())


# What commit bb3dbfd, the first whose work directories may still be around, made of these data.
BEFORE = {
  "u1": ("03f534b77189af29a90dd3c069188399451a0262420450c4c0720e67b6a9b8bf", (78, 8, 4)),
  "<i8": ("ce5566440195bc0dd9618ca8647a733d935fb3f47cbdaf31cb65fde81c2f4b77", (77, 6, 7)),
  ">i8": ("e1f3a9ce93c6d1598a9a7a80f20b6ad65e0523dcdb8406008e3a28e2aa0b4cd6", (73, 11, 6)),
  ">u2": ("ee3fe108af011c6a626a9d7c2f2b93a108238f75f99046166fa7f5b54e22453a", (73, 7, 10)),
  "Fortran <i4": ("257c1250a103d8c9590bae4ea1ea2d511a322ebb61b5a2904a00b2449f30787b", (68, 6, 16)),
  "bool": ("cd840256bee3a8fe4986a542997d47228e65286bb5be4c5e0040c713e537e555", (71, 13, 6)),
  "hundreds <i8": ("d0b21aa049f5f78ceb3dc082a0c37e6aa150870f82cb66123f7b323e71612277", (69, 11, 10)),
  "folder": ("3d14cfaeace102257159553bec9404553eae465161e2b4f04f39f75ea5f0f4d3", (73, 8, 9)),
  "folder of 5": ("03f534b77189af29a90dd3c069188399451a0262420450c4c0720e67b6a9b8bf", (78, 8, 4)),
  "folder, mapped": ("147c87b279d8c57c717021416d2b984f2409d5e9c1c92ad6348a19bd51b9631e", (74, 10, 6)),
  "folder, smaller": ("7a6e26e83c452209d42f4f310ccbda0924da10bee759562b640c1cee65179a95", (71, 7, 12)),
  "maps >i4": ("dc58457b85115fbe651440f2a198a1e13789bf19710ace73247511f967eb64e1", (76, 6, 8)),
  "stream": ("e05f566a3c240dda94076d64f23896a9184fb00dd4ce34a35059d43e6663236a", (81, 4, 4)),
  "named": ("4b1d9b2bc55b3f0eba9218f5f70eec33f4b38518e1ea5c890b9c486ccf782ecb", (60, 30)),
}
# What the versions between that commit and rule 3 made of them where it was something else.
BETWEEN = {
  **dict.fromkeys(("<i8", ">i8", ">u2", "Fortran <i4", "folder", "maps >i4"), BEFORE["u1"]),
  "hundreds <i8": ("e2d4c2673fb8d44b3682bc324592a3910be8c4b58cb48f35ceeb6e5b75f6b059", (75, 4, 11)),
  "folder, smaller": ("ef28113486dbbbda8baf7a464cff4097feb992979addb480c7f4c5acfc79049c", (79, 4, 7)),
}


def stored(folder, name, **keywords):
  """Returns the source of the data of a name of BEFORE."""
  if name.startswith("folder"):
    extra = {
      "folder of 5": {"num_classes": 5},
      "folder, mapped": {"mapping": "0:1 1:1 2:0 3:2 4:0"},
      "folder, smaller": {"shape": (2, 2)},
    }
    return label_maps(in_folder(folder, MAPS), splits=FRACTIONS, **extra.get(name, {}), **keywords)
  if name == "stream":
    return array_file(saved(folder / "stream.npy", MAPS.ravel()), length=12, **keywords)
  if name == "named":
    np.savez(folder / "a.npz", train=MAPS[:60], val=MAPS[60:].astype("u1"))
    return array_file(str(folder / "a.npz"), **keywords)
  array = MAPS > 2 if name == "bool" else MAPS * 100 if name.startswith("hundreds") else MAPS.astype(name.split()[-1])
  array = np.asfortranarray(array) if name.startswith("Fortran") else array
  read = label_maps if name.startswith("maps") else array_file
  return read(saved(folder / f"{name}.npy", array), splits=FRACTIONS, **keywords)


@pytest.mark.parametrize("name", BEFORE)
def test_c1_old_rules_give_the_splits_and_fingerprints_that_they_gave(tmp_path, name):
  for rule, expected in ((1, BEFORE[name]), (2, BETWEEN.get(name, BEFORE[name]))):
    source = stored(tmp_path, name, split_rule=rule)
    assert (source.fingerprint, sizes(source)) == expected


def test_c1_splits_and_fingerprints_depend_on_the_integers_alone(tmp_path):
  ways = [stored(tmp_path, name) for name in ("u1", "<i8", ">i8", ">u2", "Fortran <i4", "folder", "folder of 5")]
  ways += [stored(tmp_path, "maps >i4"), stored(tmp_path, "u1", num_classes=300)]
  ways += [array_file(saved(tmp_path / "a.npz", MAPS), num_classes=70_000, splits=FRACTIONS)]
  ways += [array_file(str(tmp_path / "a.npz"), splits=FRACTIONS, relabel=True)]
  assert len({source.fingerprint for source in ways}) == 1
  for source in ways:
    np.testing.assert_array_equal(whole(source).x, whole(ways[0]).x)
    assert sizes(source) == sizes(ways[0])
  kinds = ("bool", "u1", ">i4")
  binary = [array_file(saved(tmp_path / f"{d}_.npy", (MAPS > 2).astype(d)), splits=FRACTIONS) for d in kinds]
  assert len({source.fingerprint for source in binary}) == 1


def test_c1_rule_3_is_the_hash_of_little_endian_words(tmp_path):
  source = stored(tmp_path, ">i8")
  shares = [int(hashlib.blake2b(one.astype("<u4").tobytes(), digest_size=6).hexdigest(), 16) / 16**12 for one in MAPS]
  parts = [MAPS[[0.8 <= s < 0.9 for s in shares]], MAPS[[s >= 0.9 for s in shares]]]
  assert sizes(source)[1:] == (len(parts[0]), len(parts[1]))
  digest = hashlib.sha256()
  for name, part in zip(splits.NAMES, [MAPS[[s < 0.8 for s in shares]], *parts], strict=True):
    digest.update(f"{name}\n".encode() + part.astype("<u4").tobytes() + f"\n{part.size}\n".encode())
  assert source.fingerprint == digest.hexdigest()


def test_c1_a_rule_that_does_not_exist_or_fit_is_refused(tmp_path):
  path = saved(tmp_path / "a.npy", MAPS)
  refused("split_rule is 4; it must be one of 1, 2, 3", array_file, path, split_rule=4)
  refused("split_rule 2 is of versions that had neither", array_file, path, split_rule=2, ignore=(4,))


PAIRS = {"7": 0, "8": 0, "11": 1, "-1": 2}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("separator", [",", ";", "\t", " , ", '"', "declared"])
@pytest.mark.parametrize("breaks", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("titles", [False, True])
def test_c2_a_mapping_is_read_as_spreadsheets_save_it(tmp_path, mark, separator, breaks, titles):
  quoted = separator == '"'
  between = {'"': ";", "declared": ";"}.get(separator, separator)
  rows = [("id", "category")] * titles + [(one, str(other)) for one, other in PAIRS.items()]
  lines = [between.join(f'"{cell}"' if quoted else cell for cell in row) for row in rows]
  lines = ["sep=;"] * (separator == "declared") + lines + [between, between * 3]  # rows that someone has emptied
  (tmp_path / "t.csv").write_bytes((mark + breaks.join(lines) + breaks).encode())
  table = make_table(str(tmp_path / "t.csv"), 3, None)
  assert dict(zip(map(str, table.ids), table.categories, strict=True)) == PAIRS


@pytest.mark.parametrize(
  ("content", "message"),
  [
    ("7,0\n8\n", r"line 2 has 1 column, separated by ','"),
    ("7 0\n8 1\n", r"line 1 has 1 column, separated by ','"),
    ("7,0\n8O,1\n", r"line 2: '8O' is no label id"),
    ("7O,0\n8,1\n", r"line 1: '7O' is no label id"),
    ("id;category\n7;0\n\n8;x1\n", r"line 4: 'x1' is no category"),
    ("7,0\n8,\n", r"line 2: '' is no category"),
    ("7,0\n8,1.0\n", r"line 2: '1.0' is no category"),
    ("7,0\n7,1\n", "lists an id twice"),
    ("7,0\n8,-1\n", 'category -1 of the mapping .* .line 2. is negative; write "ignore"'),
    ("7,0\n#010203,1\n", "lists label ids and colors; list one kind"),
  ],
)
def test_c2_what_cannot_be_read_is_named_by_line_and_cell(tmp_path, content, message):
  (tmp_path / "t.csv").write_text(content)
  assert "t.csv" in refused(message, make_table, str(tmp_path / "t.csv"), None, None)


def test_c2_no_entry_of_an_object_and_no_label_is_lost(tmp_path):
  (tmp_path / "t.json").write_text('{"7": 0, "7": 1}')
  refused("lists an id twice", make_table, str(tmp_path / "t.json"), None, None)
  folder = in_folder(tmp_path / "maps", MAPS[:3], ["caf\u00e9.png", "b, 1.png", "c.png"])
  (tmp_path / "l.csv").write_text('file;label\ncafe\u0301.png;x\n"b, 1.png";y\nc.png;\n')
  source = label_maps(folder, splits=(3, 0, 0), labels=str(tmp_path / "l.csv"))
  assert source.splits["train"].examples(np.arange(3)).given.tolist() == [[1], [2], [0]]
  (tmp_path / "l.csv").write_text("c.png,x\nc.png,y\n")
  refused("gives 'c.png' two labels, 'x' and 'y'; keep one", label_maps, folder, labels=str(tmp_path / "l.csv"))
  assert read_table(str(tmp_path / "t.json"), "labels") == [("7", 0), ("7", 1)]


def framed(number=40, side=6):
  """Returns maps of ids 0 to 2 with a frame of 255."""
  maps = np.full((number, side, side), 255, np.uint8)
  maps[:, 1:-1, 1:-1] = np.random.default_rng(0).integers(0, 3, (number, side - 2, side - 2))
  return maps


def test_c3_ignored_pixels_are_not_valid_and_gaps_are_reported(tmp_path):
  maps = framed()
  plain = array_file(saved(tmp_path / "a.npy", maps), splits=FRACTIONS)
  assert plain.event.num_classes == 256
  assert "4 of 256 ids occur" in plain.description
  folder = in_folder(tmp_path / "maps", maps)
  ways = [
    array_file(str(tmp_path / "a.npy"), ignore=(255,), splits=FRACTIONS),
    label_maps(str(tmp_path / "a.npy"), ignore=(255, 254), splits=FRACTIONS),
    label_maps(folder, ignore=(255,), splits=FRACTIONS),
    label_maps(folder, 3, ignore=(255,), splits=FRACTIONS, names=("a", "b", "c")),
    label_maps(folder, mapping="0:0 1:1 2:2 255:ignore", splits=FRACTIONS),
    label_maps(folder, mapping="0:0 1:1 2:2", ignore=(255,), splits=FRACTIONS),
    label_maps(folder, mapping="0:0 1:1 2:2 other:ignore", splits=FRACTIONS),
  ]
  for source in ways:
    batch = whole(source)
    assert source.event == EventSpec((6, 6), 3, (), True)
    assert source.fingerprint == ways[0].fingerprint != plain.fingerprint
    np.testing.assert_array_equal(batch.valid, np.pad(np.ones((40, 4, 4), bool), ((0, 0), (1, 1), (1, 1))))
    assert batch.x.max() == 2
    assert (batch.x[~batch.valid] == 0).all()
    assert "occur" not in source.description


def test_c3_what_is_ignored_counts_in_no_statistic_baseline_or_correction(tmp_path):
  source = array_file(saved(tmp_path / "a.npy", framed()), ignore=(255,), splits=(30, 10, 0))
  inside = array_file(saved(tmp_path / "b.npy", framed()[:, 1:-1, 1:-1]), splits=(30, 10, 0))
  batch, other = (s.splits["validation"].examples(np.arange(10)) for s in (source, inside))
  jax.tree.map(np.testing.assert_array_equal, frequencies(batch, 3), frequencies(other, 3))
  models = [neighbor_counts.fit(s.splits["train"], num_classes=3, max_maps=99) for s in (source, inside)]
  for order in (1, 3, 5):
    nats = [neighbor_counts.log_prob(m, b, order) for m, b in zip(models, (batch, other), strict=True)]
    np.testing.assert_allclose(nats[0][:, 1:-1, 1:-1], nats[1])
    assert not nats[0][~batch.valid].any()
  places = neighbor_counts.place_log_prob(models[0], batch)
  assert np.isfinite(places).all()
  assert not places[~batch.valid].any()
  typed = spelling.corrupt(np.random.default_rng(1), batch, 0.5, 3)
  np.testing.assert_array_equal(typed.x[~batch.valid], batch.x[~batch.valid])
  score = spelling.judge(batch, typed.x, np.where(batch.valid, batch.x, 2))
  assert score.wrong_before.total == score.repaired.total + score.broken.total == batch.valid.sum()
  assert (score.repaired.value, score.broken.value) == (1.0, 0.0)


def test_c3_a_stream_may_have_holes_too(tmp_path):
  stream = np.tile([4, 1, -100, 0, 2], 60)
  source = array_file(saved(tmp_path / "a.npy", stream), ignore=(-100,), length=10, splits=ALL)
  batch = whole(source)
  np.testing.assert_array_equal(marked(batch).ravel(), np.where(stream < 0, -1, stream))
  counted = ngrams.fit(ngrams.training_rows(source.splits["train"]), order=2, num_classes=5)
  assert counted.counts[1].counts.sum() == 3 * 60 - 1  # no pair spans a hole
  crops = source.splits["train"].crops(np.array([2, 3]))
  assert crops.valid[:, :2].tolist() == [[False, True], [True, True]]


def test_c3_ignored_ids_are_read_and_written_as_they_are_and_pictured_as_nothing(tmp_path):
  source = array_file(saved(tmp_path / "a.npy", framed(4)), ignore=(255,), splits=ALL)
  codec = from_spec(json.loads(json.dumps(source.codec.spec)))
  media, path = media_of(source.event, codec, "pixel"), str(tmp_path / "b.npy")
  batch = media.read(str(tmp_path / "a.npy"))
  np.testing.assert_array_equal(marked(batch), marked(whole(source)))
  media.written(path, batch)
  np.testing.assert_array_equal(np.load(path), framed(4))
  odd = saved(tmp_path / "odd.npy", framed(4) | 7)
  refused(r"odd\.npy: category 7 at index \(1, 1\) is outside 0\.\.2", media.read, odd)
  media.pictured.samples(str(tmp_path / "a.png"), batch, title="maps")
  assert "255" not in media.shown(batch)[0]
  assert "100.0%" not in media.shown(batch)[0]
  holes = framed(1)[0].astype(int)
  holes[2, 2] = -1
  found = media.typed_holes([holes])
  assert (found.x == HOLE).sum() == 1
  assert found.valid.sum() == 16


def test_c3_completions_are_compared_where_the_truth_has_a_category():
  truth = np.array([[0, -1, 2, 1]])
  pattern = Pattern(np.zeros((1, 4), int), np.array([[True, False, False, False]]), truth)
  assert _agreement(np.array([[[0, 0, 2, 0]], [[0, 1, 2, 1]]]), pattern) == 0.75
  nothing = pattern._replace(truth=np.full((1, 4), -1))
  for unknown in (nothing, pattern._replace(truth=None)):
    assert _agreement(np.zeros((2, 1, 4), int), unknown) is None


def test_c3_nearest_neighbors_and_augmentation_keep_what_is_ignored(tmp_path):
  maps = framed(3, 8)
  source = label_maps(in_folder(tmp_path, maps), ignore=(255,), shape=(4, 4), splits=ALL, flip=True, shift=(0, 1))
  batch = whole(source)
  np.testing.assert_array_equal(marked(batch), np.where(maps == 255, -1, maps.astype(int))[:, 1::2, 1::2])
  crops = source.splits["train"].crops(np.arange(6))
  np.testing.assert_array_equal(marked(crops)[4], marked(batch)[0][:, ::-1])


def test_c3_ignore_that_contradicts_itself_is_refused(tmp_path):
  path = saved(tmp_path / "a.npy", framed(2))
  refused("every position is ignored; correct ignore", array_file, path, ignore=(0, 1, 2, 255), splits=ALL)
  folder = in_folder(tmp_path / "maps", framed(2))
  refused("00.png: category 2 at index", label_maps, folder, num_classes=2, ignore=(255,))
  refused("the id 2 is ignored, and mapping .* gives it", label_maps, path, mapping="0:0 1:1 2:1", ignore=(2,))
  refused("says what other is, and other is 1", label_maps, path, mapping="0:0 other:ignore", other=1)
  refused("ignores all that it lists", label_maps, path, mapping="0:ignore")


@pytest.mark.parametrize("density", ["multi_scale", "pyramid", "coupling"])
def test_c3_a_flow_that_joins_pixels_is_refused_and_no_other(density):
  from catgen.config import make_model

  coupling = {"kind": "densenet", "width": 4, "num_layers": 1, "growth": 2}
  sizes = {"multi_scale": {"num_levels": 2, "num_layers": 1}, "pyramid": {"num_levels": 1}, "coupling": {}}[density]
  section = {"kind": "dequantized_flow", "density": {"kind": density, **sizes, "conditioner": coupling}}
  event = EventSpec((4, 4), 3)
  make_model(section, event)
  if density == "coupling":
    make_model(section, event._replace(ignores=True))
  else:
    refused("blocks of 2 x 2 pixels as one", make_model, section, event._replace(ignores=True))


COLORS = np.array([[128, 64, 128], [0, 0, 142], [70, 70, 70], [0, 0, 0]], np.uint8)


def color_folder(folder, maps, mode="RGB"):
  from PIL import Image

  folder.mkdir(exist_ok=True)
  for i, ids in enumerate(maps):
    image = Image.fromarray(COLORS[ids])
    (image.quantize(8) if mode == "P" else image.convert(mode)).save(folder / f"{i}.png")
  return str(folder)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_c4_colors_are_categories(tmp_path, mode):
  maps = MAPS[:6] % 4
  folder = color_folder(tmp_path / "maps", maps, mode)
  words = ["#" + bytes(color).hex() for color in COLORS]
  (tmp_path / "rgb.csv").write_text(
    "name;r;g;b\n" + "".join(f"{name};{r};{g};{b}\n" for name, (r, g, b) in zip("wxyz", COLORS.tolist(), strict=True))
  )
  (tmp_path / "hex.json").write_text(json.dumps({word.upper(): i for i, word in enumerate(words)}))
  inline = " ".join(f"{word}:{i}" for i, word in enumerate(words))
  ways = [label_maps(folder, mapping=m, splits=(4, 1, 1)) for m in (inline, *map(str, tmp_path.glob("*.[cj]s*")))]
  if mode != "P":
    ways.append(label_maps(folder, colors=words, splits=(4, 1, 1)))
  np.save(tmp_path / "a.npy", COLORS[maps])
  ways.append(label_maps(str(tmp_path / "a.npy"), mapping=inline, splits=(4, 1, 1)))
  ways.append(label_maps(str(tmp_path / "a.npy"), colors=words, splits=(4, 1, 1)))
  for source in ways:
    np.testing.assert_array_equal(whole(source).x, maps)
    assert source.codec.legend.colors == tuple(words)
    assert source.fingerprint == ways[0].fingerprint
  assert ("w", "x", "y", "z") in [source.codec.legend.names for source in ways]
  source = label_maps(folder, mapping=f"{words[0]}:0 {words[1]}:1 {words[2]}:1 {words[3]}:ignore", splits=(4, 1, 1))
  np.testing.assert_array_equal(marked(whole(source)), np.array([0, 1, 1, -1])[maps])


def test_c4_an_unknown_color_is_named_with_file_and_pixel(tmp_path):
  from PIL import Image

  folder = color_folder(tmp_path, MAPS[:2] % 4)
  mapping = "#804080:0 #00008e:1 #000000:1"
  row, column = np.argwhere(MAPS[0] % 4 == 2)[0]
  message = rf"0\.png has the color #464646, which mapping does not list; .*row {row}, column {column}\)$"
  refused(message, label_maps, folder, mapping=mapping)
  refused(message, label_maps, folder, mapping=mapping, shape=(6, 8))
  np.testing.assert_array_equal(
    whole(label_maps(folder, mapping=mapping, other=2, splits=ALL)).x, np.array([0, 1, 2, 1])[MAPS[:2] % 4]
  )
  smooth = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))
  smooth.save(tmp_path / "0.png")
  refused("16 colors of this map are unlisted: colors that edges were smoothed", label_maps, folder, mapping=mapping)
  Image.fromarray(np.full((3, 4, 4), 127, np.uint8)).save(tmp_path / "0.png")
  refused(r"0\.png has the color #7f7f7f7f, which mapping", label_maps, folder, mapping=mapping)
  refused("has several channels .* mapping=", label_maps, folder)
  smooth.save(tmp_path / "0.jpg")
  refused(r"0\.jpg is no PNG file but JPEG, whose label ids are not exact", label_maps, folder, pattern="*.jpg")
  refused("colors lists a color twice", label_maps, folder, colors=("#000000", "#000000"))
  (tmp_path / "0.jpg").unlink()
  for keywords in ({"mapping": mapping}, {"colors": ("#000000", "#000001")}):
    color_folder(tmp_path, MAPS[:2] % 4)
    refused('write "#rrggbb:ignore" in mapping', label_maps, folder, ignore=(3,), **keywords)
  refused("colors has 2 entries for 3 categories", label_maps, folder, 3, colors=("#000000", "#000001"))


def test_c4_palettes_that_differ_are_no_ids(tmp_path):
  from PIL import Image

  for i, order in enumerate((COLORS, COLORS[[1, 0, 2, 3]])):
    image = Image.fromarray((MAPS[i] % 4).astype(np.uint8), "P")
    image.putpalette(order.tobytes())
    image.save(tmp_path / f"{i}.png")
  refused("label id 0 has the color #00008e in .*1.png and #804080 in .*0.png: the palettes differ", label_maps,
          str(tmp_path))  # fmt: skip
  by_number = label_maps(str(tmp_path), num_classes=4, colors=("#000000", "#000001", "#000002", "#000003"), splits=ALL)
  np.testing.assert_array_equal(whole(by_number).x, MAPS[:2] % 4)
  before = label_maps(str(tmp_path), splits=ALL, split_rule=2)
  np.testing.assert_array_equal(whole(before).x, MAPS[:2] % 4)
  by_color = label_maps(str(tmp_path), mapping="#804080:0 #00008e:1 #464646:2 #000000:3", splits=ALL)
  np.testing.assert_array_equal(whole(by_color).x[1], np.array([1, 0, 2, 3])[MAPS[1] % 4])


@pytest.mark.parametrize(
  ("ids", "dtype", "count"),
  [
    ([0, 1, 2**40], "i8", 3),
    ([0, 1, 2, 4294967295], "u4", 4),
    ([0, 1, 5000], "u2", 3),
    ([0, 2**62, 2**63 - 1], "i8", 3),
  ],
)
def test_c7_large_ids_are_refused_with_the_count_and_the_remedies(tmp_path, ids, dtype, count):
  path = saved(tmp_path / "a.npy", np.tile(np.array(ids, dtype), (5, 1)))
  largest = ids[-1]
  refused(rf"{largest + 1:,} categories, and {count} ids occur; say relabel=true .*ignore={largest} ", array_file, path)
  source = array_file(path, relabel=True, splits=ALL)
  assert source.event.num_classes == count
  np.testing.assert_array_equal(whole(source).x[0], np.arange(count))
  if count == 4:
    assert array_file(path, ignore=(largest,), splits=ALL).event.num_classes == 3


def test_c7_how_many_categories_are_meant_has_a_bound(tmp_path):
  def number(largest, used, **keywords):
    array = np.linspace(0, largest, used).astype(np.int64)
    return array_file(saved(tmp_path / "a.npy", array), splits=ALL, length=1, **keywords).event.num_classes

  assert number(4095, 2) == 4096
  assert number(64 * 100 - 1, 100) == 6400
  refused("6,401 categories, and 100 ids occur.*num_classes=6401 if", number, 6400, 100)
  assert number(6400, 100, num_classes=6401) == 6401
  assert number(MOST_CATEGORIES - 1, 2**15) == MOST_CATEGORIES
  refused("1,048,577 categories", number, MOST_CATEGORIES, 2**15)
  refused("num_classes is 2147483648; it must be", number, 5, 5, num_classes=2**31)
  assert number(MOST_CATEGORIES, 2, split_rule=2) == MOST_CATEGORIES + 1  # as it was
  refused("2 ids .0, 9., but num_classes, names or colors say 3", number, 9, 2, num_classes=3, relabel=True)


def test_c7_labels_that_are_given_have_the_same_bound(tmp_path):
  np.savez(tmp_path / "a.npz", x=MAPS[:3], given=np.array([1, 2**40, -1]))
  refused("labels reach 1,099,511,627,776, .* and 2 occur", array_file, str(tmp_path / "a.npz"), splits=ALL)
  np.savez(tmp_path / "a.npz", x=MAPS[:3], given=np.array([1, 4095, -1]))
  assert array_file(str(tmp_path / "a.npz"), splits=ALL).event.given == (4096,)


def test_c7_more_ids_than_a_model_has_categories_are_counted_no_further(monkeypatch):
  monkeypatch.setattr(label_ids, "MOST_CATEGORIES", 50)
  for step in (1, 2**30):
    array = np.arange(60)[:, None] * step
    refused("more than 50 ids occur", array_source, {"": array}, "here", None, ALL)
    refused("more than 50 different ids occur", array_source, {"": array}, "here", None, ALL, relabel=True)


@pytest.mark.parametrize("ids", [[-1, 1], [24001, 24002, 26000], [7, 2**40], [255, 3, 11], [-(2**40), 0, 5], [9]])
def test_c7_relabelled_ids_are_read_and_written_as_they_are(tmp_path, ids):
  array = np.random.default_rng(0).choice(ids, (9, 4, 5))
  source = array_file(saved(tmp_path / "a.npy", array), relabel=True, splits=ALL)
  used = np.unique(array)
  np.testing.assert_array_equal(whole(source).x, np.searchsorted(used, array))
  codec = from_spec(json.loads(json.dumps(source.codec.spec)))
  media = media_of(source.event, codec, "pixel")
  again = media.read(str(tmp_path / "a.npy"))
  np.testing.assert_array_equal(again.x, whole(source).x)
  media.written(str(tmp_path / "b.npy"), again)
  np.testing.assert_array_equal(np.load(tmp_path / "b.npy"), array)
  assert source.codec.legend.names[: len(used)] == tuple(map(str, used.tolist()))
  odd = saved(tmp_path / "odd.npy", array * 0 + 12345)
  refused(r"odd\.npy: id 12345 at index \(0, 0\) is none of the", media.read, odd)
  nothing = min(-1, used[0] - 1)  # -1, unless an id may be that
  holes = np.where(np.arange(20).reshape(4, 5) < 3, nothing, array[0])
  np.testing.assert_array_equal(media.typed_holes([holes]).x[0], np.where(holes == nothing, HOLE, whole(source).x[0]))
  assert codec.decode(np.full((4, 5), -1)).tolist() == np.full((4, 5), nothing).tolist()


def test_c7_a_fingerprint_tells_ids_of_any_size_and_what_is_ignored_apart():
  def fingerprint(ids, ignore=()):
    array = np.array(ids, np.int64)[:, None]
    return array_source({"": array}, "here", None, ALL, ignore=ignore, relabel=True).fingerprint

  several = [[0, 1, 2], [0, 1, 2 + 2**32], [0, 1, 2**40], [0, 1, 2 - 2**32], [0, 1, -1], [0, 1, 2**32 - 1], [0, 1, 3]]
  several += [[0, 2, 1], [0, 1, 2, 2]]
  found = [fingerprint(ids) for ids in several]
  found += [fingerprint([0, 1, 2], (2,)), fingerprint([0, -1, 2], (2,)), fingerprint([0, -1, 2], (-1,))]
  assert len(set(found)) == len(found)
  assert fingerprint([0, 1, 2], (2,)) == fingerprint([0, 1, 7], (7, 8))  # which number means "nothing" is no datum


def test_c7_relabelled_maps_have_the_colors_of_their_ids(tmp_path):
  from PIL import Image

  image = Image.fromarray(np.array([[0, 2], [2, 3]], np.uint8), "P")
  image.putpalette(COLORS.tobytes())
  image.save(tmp_path / "a.png")
  source = label_maps(str(tmp_path), relabel=True, ignore=(3,), splits=ALL)
  assert source.codec.legend == (("0", "2"), ("#804080", "#464646"))
  assert whole(source).valid.tolist() == [[[True, True], [True, False]]]
  refused("relabel numbers the ids that occur", label_maps, str(tmp_path), relabel=True, mapping="0:0")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62), min_size=2, max_size=12), st.data())
def test_c7_every_set_of_ids_survives_relabelling_and_ignoring(ids, data):
  array = np.array(ids, np.int64)[:, None]
  ignore = tuple(data.draw(st.sets(st.sampled_from(ids), max_size=len(set(ids)) - 1))) if len(set(ids)) > 1 else ()
  source = array_source({"": array}, "here", None, ALL, ignore=ignore, relabel=True)
  batch = whole(source)
  np.testing.assert_array_equal(batch.valid, ~np.isin(array, ignore))
  decoded = np.array([source.codec.decode(x, v) for x, v in zip(batch.x, batch.valid, strict=True)])
  np.testing.assert_array_equal(decoded[batch.valid], array[batch.valid])
  assert set(decoded[~batch.valid].tolist()) <= set(ignore[:1])


@pytest.mark.parametrize("how", ["absent", "EOPNOTSUPP", "EINVAL", "ENOSYS"])
def test_f2_room_is_made_where_space_cannot_be_reserved(monkeypatch, tmp_path, how):
  def unsupported(*_):
    raise OSError(getattr(errno, how), "not here")

  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", 0)
  monkeypatch.setattr(reading, "_ZEROS", 7)
  if how == "absent":
    monkeypatch.delattr(os, "posix_fallocate")
  else:
    monkeypatch.setattr(os, "posix_fallocate", unsupported)
  room = reading.room_for(100, np.dtype("u4"))
  assert isinstance(room, np.memmap)
  assert not room.any()
  room[:] = np.arange(100)
  np.testing.assert_array_equal(room, np.arange(100))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the device that is always full is Linux's")
def test_f2_a_full_disk_is_an_error_then_too(monkeypatch):
  monkeypatch.setattr(reading, "LARGEST_IN_MEMORY", 0)
  monkeypatch.delattr(os, "posix_fallocate")
  monkeypatch.setattr(reading.tempfile, "TemporaryFile", functools.partial(open, "/dev/full", "r+b", buffering=0))
  refused("has no room for 400 bytes .*No space left.*set TMPDIR", reading.room_for, 100, np.dtype("u4"))


def test_whole_numbers_in_floats_are_named_with_the_remedy(tmp_path):
  refused(r"float64; integers are needed: convert it, by array\.astype\(int\), since all", array_file,
          saved(tmp_path / "a.npy", MAPS.astype(float)))  # fmt: skip
  assert "astype" not in refused("float64", array_file, saved(tmp_path / "a.npy", MAPS + 0.5))
  assert "astype" not in refused("float64", array_file, saved(tmp_path / "a.npy", np.full((3, 3), np.nan)))


def test_negative_ids_are_named_with_the_remedies(tmp_path):
  refused(r"category -1 at index .*ignore=.*relabel=true", array_file, saved(tmp_path / "a.npy", MAPS - 1))


def npy_of(shape, dtype="|u1", data=b""):
  header = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
  return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


@pytest.mark.parametrize(
  "content",
  [npy_of((2**60, 4)), npy_of((2**31, 2**31, 4)), npy_of((2**70,)), npy_of((-1, 4)), npy_of((10, 10), data=b"0" * 99)],
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_a_header_that_promises_more_than_is_there_allocates_nothing(tmp_path, content, suffix):
  path = tmp_path / f"a{suffix}"
  if suffix == ".npz":
    with zipfile.ZipFile(path, "w") as archive:
      archive.writestr("train.npy", content)
  else:
    path.write_bytes(content)
  refused("is no readable .npy or .npz file of integers", array_file, str(path))


def test_an_archive_that_unpacks_to_more_than_memory_is_refused_unread(tmp_path, monkeypatch):
  from catgen.data import numpy_files

  np.savez_compressed(tmp_path / "a.npz", train=np.zeros((1000, 1000), np.uint8))
  monkeypatch.setattr(numpy_files, "memory_bytes", lambda: 10**5)
  refused(r"a\.npz unpacks to 1,000,128 bytes, more than the 100,000 of this", array_file, str(tmp_path / "a.npz"))
  monkeypatch.setattr(numpy_files, "memory_bytes", lambda: None)
  assert array_file(str(tmp_path / "a.npz")).splits["train"].num_examples == 1000


@pytest.mark.parametrize(
  "array", [np.array([[{}]]), np.zeros((3, 2), [("a", int)]), np.zeros((0, 3), int), np.zeros((3, 0), int), np.int64(3)]
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_without_integers_are_one_line(tmp_path, array, suffix):
  path = tmp_path / f"a{suffix}"
  refused("Python objects, which are never loaded|integers are needed|no data", array_file, saved(path, array))


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_no_damage_of_a_file_is_a_traceback(tmp_path, name):
  path = tmp_path / name
  saved(path, MAPS[:5].astype(np.uint8))
  content, rng = path.read_bytes(), np.random.default_rng(0)
  with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    for _ in range(150):
      damaged = bytearray(content)
      for place in rng.integers(0, min(len(content), 140), 3):
        damaged[place] = rng.integers(256)
      path.write_bytes(bytes(damaged[: rng.integers(1, len(content) + 1)] if rng.random() < 0.3 else damaged))
      assert "\n" not in mistake(array_file, str(path), splits=ALL, num_classes=256)


def png_of(width, height, depth=8, kind=0, lines=b""):
  chunks = [(b"IHDR", struct.pack(">2I5B", width, height, depth, kind, 0, 0, 0)), (b"IDAT", lines), (b"IEND", b"")]
  parts = [
    struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
  ]
  return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_images_that_are_no_maps_are_one_line(tmp_path):
  path = tmp_path / "a.png"
  path.write_bytes(png_of(20_000, 20_000, lines=zlib.compress(bytes(9))))
  refused("a.png is too large: .*cut it into smaller maps", label_maps, str(tmp_path))
  path.write_bytes(png_of(4, 4, 16, 2, zlib.compress(bytes(4 * 25))))
  refused("a.png has 16 bits a channel", label_maps, str(tmp_path), mapping="#000000:0")
  in_folder(tmp_path, MAPS[:1], ["a.png"])
  content, rng = path.read_bytes(), np.random.default_rng(0)
  for _ in range(60):
    damaged = bytearray(content)
    for place in rng.integers(8, len(content), 2):
      damaged[place] = rng.integers(256)
    path.write_bytes(bytes(damaged[: rng.integers(1, len(content) + 1)] if rng.random() < 0.3 else damaged))
    for mapping in (None, "#000000:0 other:1"):
      assert "\n" not in mistake(label_maps, str(tmp_path), splits=ALL, mapping=mapping)


def test_folders_behind_links_are_read_once_and_links_back_are_not_followed(tmp_path):
  in_folder(tmp_path / "elsewhere", MAPS[:2])
  folder = tmp_path / "maps"
  in_folder(folder / "val" / "deep", MAPS[2:4])
  (folder / "train").symlink_to(tmp_path / "elsewhere")
  (folder / "val" / "deep" / "back").symlink_to(folder / "val")
  (folder / "val" / "self").symlink_to("self")
  source = label_maps(str(folder))
  assert {name: split.num_examples for name, split in source.splits.items()} == {"train": 2, "validation": 2}
  assert list(label_maps(str(folder), split_rule=2).splits) == ["validation"]
  (folder / "val" / "gone.png").symlink_to("nowhere.png")
  refused(r"gone\.png does not exist", label_maps, str(folder))


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
  folder = in_folder(tmp_path, MAPS[:2], ["a/1.png", "b/2.png"])
  scan = os.scandir

  def locked(path):
    if os.path.basename(path) == "b":
      raise PermissionError(13, "Permission denied")
    return scan(path)

  monkeypatch.setattr(os, "scandir", locked)
  refused(rf"{re.escape(folder)}/b cannot be read \(Permission denied\)", label_maps, folder)

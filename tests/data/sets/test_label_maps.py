"""Label maps: every way to store them gives the integers that were written, as categories at the size asked for."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from catgen.data.category_table import make_table, to_categories
from catgen.data.label_images import nearest, read_png
from catgen.data.legends import CATEGORIES, make_legend
from catgen.data.sets.label_maps import label_maps
from catgen.interfaces import EventSpec, InputError

MAPS = np.random.default_rng(0).integers(0, 4, (6, 5, 8)).astype(np.uint8)
COLORS = ("#000000", "#ff0000", "#00ff00", "#0000ff")


def palette_image(ids, colors=COLORS):
  image = Image.fromarray(ids, "P")
  image.putpalette(b"".join(bytes.fromhex(color[1:]) for color in colors))
  return image


def png(image, **options):
  file = io.BytesIO()
  image.save(file, "PNG", **options)
  return file.getvalue()


def write_folder(folder, maps=MAPS, places=None):
  for i, ids in enumerate(maps):
    path = folder / (places[i] if places else f"{i}.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    palette_image(ids).save(path)
  return str(folder)


def everything(source):
  return np.concatenate([split.examples(np.arange(split.num_examples)).x for split in source.splits.values()])


@pytest.mark.parametrize(
  ("image", "ids"),
  [
    (palette_image(MAPS[0]), MAPS[0]),
    (Image.fromarray(MAPS[0] * 60), MAPS[0] * 60),
    (Image.fromarray(MAPS[0].astype(np.uint16) * 20_000), MAPS[0].astype(int) * 20_000),
    (Image.fromarray(MAPS[0] % 2 == 1), MAPS[0] % 2),
  ],
)
def test_a_png_gives_the_integers_that_were_stored(image, ids):
  np.testing.assert_array_equal(read_png(png(image), "a.png").ids, ids)


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_are_no_other_numbers(bits):
  ids = MAPS[0] % 2**bits
  stored = read_png(png(palette_image(ids), bits=bits), "a.png")
  np.testing.assert_array_equal(stored.ids, ids)
  assert stored.colors[:2] == COLORS[:2]


@pytest.mark.parametrize("bits", [2, 4])
def test_gray_levels_of_few_bits_are_not_spread(bits):
  # Pillow writes no such files: change the color type of one with a palette, which packs its indices likewise
  import struct
  import zlib

  content = png(palette_image(MAPS[0]), bits=bits)
  chunk = content[12:25] + b"\x00" + content[26:29]
  start = content.index(b"PLTE") - 4
  stop = start + 12 + int.from_bytes(content[start : start + 4], "big")
  gray = content[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:start] + content[stop:]
  np.testing.assert_array_equal(read_png(gray, "a.png").ids, MAPS[0])


def test_nearest_takes_the_pixel_under_the_center():
  ids = np.arange(12 * 30).reshape(12, 30)
  for shape in ((3, 5), (5, 7), (12, 30), (24, 31)):
    found = nearest(ids, shape)
    for i in range(shape[0]):
      for j in range(shape[1]):
        assert found[i, j] == ids[int((i + 0.5) * 12 / shape[0]), int((j + 0.5) * 30 / shape[1])]
  np.testing.assert_array_equal(nearest(ids, (4, 4), crop=True), nearest(ids[:, 9:21], (4, 4)))
  np.testing.assert_array_equal(nearest(ids, (2, 10), crop=True), nearest(ids[3:9], (2, 10)))


@pytest.mark.parametrize("size", [(32, 64), (128, 256)])
def test_nearest_is_pillows_at_the_sizes_of_cityscapes(size):
  ids = np.random.default_rng(0).integers(0, 34, (1024, 2048)).astype(np.uint8)
  image = Image.fromarray(ids).resize(size[::-1], Image.Resampling.NEAREST)
  np.testing.assert_array_equal(nearest(ids, size), np.asarray(image))


def test_a_folder_and_arrays_are_the_same_data(tmp_path):
  folder = write_folder(tmp_path / "maps")
  np.save(tmp_path / "maps.npy", MAPS)
  sources = [label_maps(path, splits=(3, 2, 1)) for path in (folder, str(tmp_path / "maps.npy"))]
  for source in sources:
    np.testing.assert_array_equal(everything(source), MAPS)
    assert (source.event, source.position) == (EventSpec((5, 8), 4), "pixel")
  assert sources[0].fingerprint == sources[1].fingerprint
  assert sources[0].codec.legend == (("0", "1", "2", "3"), COLORS)
  assert sources[1].codec.legend is None


def test_palettes_that_are_cut_down_to_the_ids_of_their_file_give_the_colors_together(tmp_path):
  for i, count in enumerate((1, 4, 2)):
    palette_image(MAPS[i] % count, COLORS[:count]).save(tmp_path / f"{i}.png")
  for keywords in ({}, {"num_classes": 4}, {"split_rule": 2}):
    assert label_maps(str(tmp_path), splits=(3, 0, 0), **keywords).codec.legend.colors == COLORS


def test_folders_called_like_splits_are_the_splits(tmp_path):
  places = ["train/b/1.png", "train/a/9.png", "val/x.PNG", "test/1.png", "test/0.png", "train/.hidden.png"]
  folder = write_folder(tmp_path, places=places)
  source = label_maps(folder)  # whose endings may be in capitals
  assert {name: split.num_examples for name, split in source.splits.items()} == {
    "train": 2,
    "validation": 1,
    "test": 2,
  }
  np.testing.assert_array_equal(everything(source), MAPS[[1, 0, 2, 4, 3]])  # in the order of the paths
  assert list(label_maps(folder, pattern="[0-9].png").splits) == ["train", "test"]


@pytest.mark.parametrize(
  ("keywords", "told"),
  [
    ({}, "no training example has the id 3, "),
    ({"relabel": True}, "no training example has the id 3, "),
    ({"names": ("a", "b", "c", "tram")}, r"no training example has the id 3 \(tram\), "),
    ({"ignore": (3,)}, None),
    ({"mapping": "0:0 1:1 2:2 3:2"}, None),
  ],
)
def test_a_category_that_only_other_splits_have_is_told(tmp_path, keywords, told):
  maps = {"train": MAPS[:4] % 3, "val": MAPS[4:5], "test": MAPS[5:]}
  np.savez(tmp_path / "maps.npz", **maps)
  warnings = label_maps(str(tmp_path / "maps.npz"), **keywords).warnings
  assert len(warnings) == (told is not None)
  assert told is None or re.match(told, warnings[0])
  np.savez(tmp_path / "maps.npz", **{**maps, "train": MAPS[:4]})
  assert not label_maps(str(tmp_path / "maps.npz"), **keywords).warnings


@pytest.mark.parametrize("places", [("Train", "Val"), ("training", "testing"), ("TEST", "a")])
def test_folders_called_almost_like_splits_are_told(tmp_path, places):
  folder = write_folder(tmp_path, places=[f"{places[i % 2]}/{i}.png" for i in range(len(MAPS))])
  told = label_maps(folder).description
  looking = ", ".join(sorted(set(places) - {"a"}))
  assert told.endswith(
    f"; its folders {looking} are not taken for splits, as train, validation, test are, or val and valid"
  )
  assert "splits" not in label_maps(write_folder(tmp_path / "x", places=[f"a/b{i}.png" for i in range(6)])).description


def test_a_single_picture_is_no_data_set(tmp_path):
  write_folder(tmp_path)
  with pytest.raises(InputError, match=r"0\.png is a single picture; name the folder of all"):
    label_maps(str(tmp_path / "0.png"))
  (tmp_path / "a.npy").write_bytes((tmp_path / "0.png").read_bytes())
  with pytest.raises(InputError, match=r"a\.npy is no readable .* \(it does not begin as such files do; .*\)"):
    label_maps(str(tmp_path / "a.npy"))


@pytest.mark.parametrize("form", ["inline", "json", "csv", "titled csv"])
def test_mappings_say_which_category_an_id_becomes(tmp_path, form):
  pairs = {0: 1, 1: 0, 2: 1, 3: 2}
  mapping = " ".join(f"{one}:{other}" for one, other in pairs.items())
  if form != "inline":
    mapping = str(tmp_path / f"table.{form.split()[-1]}")
    lines = ["id,category"] * (form == "titled csv") + [f"{one},{other}" for one, other in pairs.items()]
    content = json.dumps(pairs) if form == "json" else "\n".join(lines) + "\n"
    (tmp_path / mapping).write_text(content)
  np.savez(tmp_path / "maps.npz", train=MAPS[:4].astype(np.int64), val=MAPS[4:].astype(np.int64))
  source = label_maps(str(tmp_path / "maps.npz"), mapping=mapping, names=("a, b", "c"))
  np.testing.assert_array_equal(everything(source), np.array([1, 0, 1, 2])[MAPS])
  assert source.codec.legend.names == ("a", "b", "c")
  assert list(source.splits) == ["train", "validation"]


def test_other_takes_what_is_not_listed(tmp_path):
  folder = write_folder(tmp_path / "a")
  np.testing.assert_array_equal(everything(label_maps(folder, mapping="3:0,1:2", other=1, splits=(6, 0, 0)))[0],
                                np.array([1, 2, 1, 0])[MAPS[0]])  # fmt: skip
  np.testing.assert_array_equal(
    everything(label_maps(folder, num_classes=2, other=0, splits=(6, 0, 0))), np.where(MAPS < 2, MAPS, 0)
  )


def test_maps_are_brought_to_a_size_and_augmented(tmp_path):
  folder = write_folder(tmp_path)
  source = label_maps(folder, shape=(4, 4), crop=True, splits=(4, 1, 1), flip=True, shift=(1, 2))
  np.testing.assert_array_equal(everything(source)[0], nearest(MAPS[0], (4, 4), crop=True))
  assert source.splits["train"].num_crops == 4 * 2 * 3 * 5
  assert source.splits["test"].num_crops == 1
  np.save(tmp_path / "maps.npy", MAPS)
  squeezed = label_maps(str(tmp_path / "maps.npy"), shape=(4, 4), splits=(4, 1, 1))
  np.testing.assert_array_equal(everything(squeezed)[0], nearest(MAPS[0], (4, 4)))


def test_legends_know_the_names_of_cityscapes_and_make_up_the_rest():
  assert make_legend(8, CATEGORIES.names) == CATEGORIES
  assert make_legend(3, ("road", "cat", "dog")).colors == ("#804080", "#800000", "#008000")
  colors = make_legend(256).colors
  assert len(set(colors)) == 256
  assert make_legend(2, colors=("#010203", "#040506")) == (("0", "1"), ("#010203", "#040506"))


def test_a_table_may_have_one_entry_and_any_integers():
  table = make_table("-1:3", 0, None)
  np.testing.assert_array_equal(to_categories(np.array([[-1, 70_000, 0]]), table, "a"), [[3, 0, 0]])


def rgb(path):
  Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(path / "rgb.png")


def damaged(path):
  (path / "damaged.png").write_bytes(png(palette_image(MAPS[0]))[:75])


def large(path):
  Image.fromarray(np.zeros((6, 8), np.uint8)).save(path / "large.png")


CASES = {
  "missing": (lambda path: None, {"path": "missing"}, ["does not exist"]),
  "no files": (lambda path: None, {"pattern": "*_ids.png"}, ["holds no files *_ids.png", "pattern"]),
  "no PNG": (lambda path: (path / "x.png").write_bytes(b"hello"), {}, ["x.png is no PNG"]),
  "empty": (lambda path: (path / "x.png").write_bytes(b""), {}, ["x.png is empty"]),
  "damaged": (damaged, {}, ["damaged.png cannot be read", "damaged: fetch"]),
  "several channels": (rgb, {}, ["rgb.png has several channels", "one gray channel"]),
  "sizes": (large, {}, ["large.png has the size (6, 8), others (5, 8)", "set shape"]),
  "both": (lambda path: write_folder(path, MAPS[:1], ["val/a.png"]), {}, ["called like splits", "0.png", "move these"]),
  "unlisted": (lambda path: None, {"mapping": "0:0 1:1 3:2"}, ["0.png has the label id 2", "set other"]),
  "outside": (lambda path: None, {"num_classes": 3}, ["0.png: category 3 at index", "0..2"]),
  "no table": (lambda path: None, {"other": 0}, ["neither mapping nor num_classes"]),
  "pairs": (lambda path: None, {"mapping": "0-1"}, ["mapping '0-1' cannot be read", '"id:category'],),
  "twice": (lambda path: None, {"mapping": "0:1 0:2"}, ["lists an id twice"]),
  "nothing": (lambda path: None, {"mapping": ""}, ["lists nothing"]),
  "no table file": (lambda path: None, {"mapping": "missing.json"}, ["missing.json does not exist"]),
  "no category": (lambda path: None, {"mapping": "0:9", "num_classes": 4}, ["category 9 of the mapping", "0..3"]),
  "negative": (lambda path: None, {"mapping": "0:0", "other": -1}, ["category -1"]),
  "names": (lambda path: None, {"num_classes": 4, "names": ("a", "b")}, ["names has 2 entries for 4"]),
  "colors": (lambda path: None, {"colors": ("red", "blue", "a", "b")}, ["color 'red'", "#rrggbb"]),
  "shape": (lambda path: None, {"shape": (4,)}, ["shape (4,) must be (height, width)"]),
  "proportions": (lambda path: None, {"shape": (1, 99), "crop": True}, ["no part of the proportions of 1 x 99"]),
  "shift": (lambda path: None, {"shift": (5, 0)}, ["shift (5, 0) must be", "size (5, 8)"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_mistakes_are_one_line_with_a_remedy(tmp_path, case):
  prepare, keywords, parts = CASES[case]
  folder = write_folder(tmp_path)
  prepare(tmp_path)
  with pytest.raises(InputError) as caught:
    label_maps(**{"path": folder, "splits": (1.0, 0, 0), **keywords})
  message = str(caught.value)
  assert "\n" not in message
  for part in parts:
    assert part in message


@pytest.mark.parametrize(
  ("array", "keywords", "message"),
  [
    (MAPS, {"mapping": "0:0 1:0"}, r"map 0 of the array has the label id [23]"),
    (MAPS[0], {"mapping": "0:0"}, r"array of shape \(5, 8\); label maps are"),
    (MAPS / 2, {"mapping": "0:0"}, r"maps\.npy: the array has dtype float64"),
    (MAPS[0], {}, r"maps\.npy has an array of shape \(5, 8\); label maps are \[maps, height, width\]$"),
    (
      MAPS[..., None] == range(4),
      {},
      r"of one-hot maps save array\.argmax\(axis=-1\), of one channel .*, of colors say",
    ),
    (
      MAPS[..., None],
      {"shape": (4, 4)},
      r"maps\.npy has an array of shape \(6, 5, 8, 1\).* of one channel array\[\.\.\., 0\]",
    ),
    (MAPS, {"num_classes": 2, "shape": (4, 4)}, "map 0 of the array: category [23] at index"),
  ],
)
def test_arrays_that_are_no_such_maps_are_refused(tmp_path, array, keywords, message):
  np.save(tmp_path / "maps.npy", array)
  with pytest.raises(InputError, match=message) as caught:
    label_maps(str(tmp_path / "maps.npy"), splits=(1.0, 0, 0), **keywords)
  assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"hello", png(palette_image(MAPS[0]))[:75], b""])
def test_the_first_file_of_a_folder_is_named_like_any_other(tmp_path, content):
  folder = write_folder(tmp_path / "maps")
  for name in ("0.png", "3.png"):
    write_folder(tmp_path / "maps")
    (tmp_path / "maps" / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"maps/{name} (is no PNG|cannot be read|is empty)"):
      label_maps(folder, splits=(6, 0, 0))


@pytest.mark.parametrize("places", [["b/1.png", "a/2.png", "a/10.png"], ["é 1.png", "Z.png", "a.png"]])
def test_files_are_read_in_the_order_of_their_paths_whatever_was_written_first(tmp_path, places):
  for folder, order in (("one", [0, 1, 2]), ("other", [2, 1, 0])):
    for i in order:
      write_folder(tmp_path / folder, MAPS[i : i + 1], places[i : i + 1])
  sources = [label_maps(str(tmp_path / folder), splits=(3, 0, 0)) for folder in ("one", "other")]
  assert sources[0].fingerprint == sources[1].fingerprint
  np.testing.assert_array_equal(everything(sources[0]), MAPS[sorted(range(3), key=places.__getitem__)])


def test_hidden_files_and_files_of_other_endings_are_not_read(tmp_path):
  folder = write_folder(tmp_path)
  (tmp_path / "._0.png").write_bytes(b"of a Mac")
  (tmp_path / "Thumbs.db").write_bytes(b"of Windows")
  np.testing.assert_array_equal(everything(label_maps(folder, splits=(6, 0, 0))), MAPS)


def test_a_folder_may_lie_at_home_and_its_name_hold_spaces(tmp_path, monkeypatch):
  monkeypatch.setenv("HOME", str(tmp_path))
  write_folder(tmp_path / "my maps é")
  np.testing.assert_array_equal(everything(label_maps("~/my maps é", splits=(6, 0, 0))), MAPS)

"""Label maps whose categories are colors."""

import json

import numpy as np
import pytest

from catgen.data.sets.label_maps import label_maps
from catgen.media.medium import marked
from tests.cases.integers import ALL, MAPS, whole
from tests.refusals import refused

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


def test_c7_relabelled_maps_have_the_colors_of_their_ids(tmp_path):
  from PIL import Image

  image = Image.fromarray(np.array([[0, 2], [2, 3]], np.uint8), "P")
  image.putpalette(COLORS.tobytes())
  image.save(tmp_path / "a.png")
  source = label_maps(str(tmp_path), relabel=True, ignore=(3,), splits=ALL)
  assert source.codec.legend == (("0", "2"), ("#804080", "#464646"))
  assert whole(source).valid.tolist() == [[[True, True], [True, False]]]
  refused("relabel numbers the ids that occur", label_maps, str(tmp_path), relabel=True, mapping="0:0")

"""Cityscapes on a made-up copy in the official layout: the same maps from archive and folder, and damage is named."""

import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from catgen.data.label_images import nearest
from catgen.data.legends import CATEGORIES, LABELS
from catgen.data.sets.cityscapes.builder import Cityscapes
from catgen.data.sets.cityscapes.edition import OFFICIAL, Edition
from catgen.data.sets.cityscapes.source import category_table, cityscapes, cityscapes_source
from catgen.interfaces import EventSpec, InputError

EDITION = Edition({"train": {"aachen": 3, "ulm": 4}, "val": {"lindau": 2}}, num_validation=2)


class MadeUp:
  """A copy as a folder and as an archive, with what surrounds the label maps in the official one."""

  def __init__(self, folder):
    self.folder, self.zip, self.data_dir = folder / "cityscapes", folder / "gtFine_trainvaltest.zip", folder / "tfds"
    rng, self.ids = np.random.default_rng(0), {"train": [], "val": []}
    for split, cities in EDITION.cities.items():
      for city, count in cities.items():
        place = self.folder / "gtFine" / split / city
        place.mkdir(parents=True)
        for i in range(count):
          ids = rng.integers(0, 34, (64, 128)).astype(np.uint8)
          self.ids[split].append(ids)
          stem = f"{city}_{i:06}_000019_gtFine"
          Image.fromarray(ids).save(place / f"{stem}_labelIds.png")
          Image.fromarray(ids.astype(np.uint16)).save(place / f"{stem}_instanceIds.png")
          (place / f"{stem}_polygons.json").write_text("{}")
    (self.folder / "gtFine" / "test" / "berlin").mkdir(parents=True)
    (self.folder / "license.txt").write_text("not to be passed on")
    self.pack()

  def pack(self):
    with zipfile.ZipFile(self.zip, "w") as packed:
      for path in sorted(self.folder.rglob("*"), reverse=True):  # in another order than that of the names
        packed.write(path, path.relative_to(self.folder))

  def file(self, city="aachen", number=0):
    return self.folder / "gtFine" / "train" / city / f"{city}_{number:06}_000019_gtFine_labelIds.png"

  def source(self, path=None, classes=8, shape=(32, 64)):
    class Builder(Cityscapes, skip_registration=True):
      EDITION = EDITION
      name = "made_up"

    path = None if path is None else str(path)
    return cityscapes_source(
      EDITION, lambda: Builder, path=path, data_dir=str(self.data_dir), classes=classes, shape=shape
    )


def everything(source):
  return {name: split.examples(np.arange(split.num_examples)).x for name, split in source.splits.items()}


def test_the_official_facts():
  counts = {split: sum(cities.values()) for split, cities in OFFICIAL.cities.items()}
  assert counts == {"train": 2975, "val": 500}
  assert counts["train"] - OFFICIAL.num_validation == 2500
  table = {
    "void": range(7),
    "flat": range(7, 11),
    "construction": range(11, 17),
    "object": range(17, 21),
    "nature": range(21, 23),
    "sky": [23],
    "human": range(24, 26),
    "vehicle": [*range(26, 34), 255],
  }
  for name, ids in table.items():
    assert set(category_table(8)[list(ids)]) == {CATEGORIES.names.index(name)}
  assert len(LABELS) == 34
  np.testing.assert_array_equal(category_table(34)[:34], np.arange(34))
  assert LABELS[category_table(34)[255]].name == "car"


@pytest.mark.parametrize("form", ["zip", "folder", "gtFine"])
def test_archive_and_folder_give_the_same_splits(tmp_path, form):
  made_up = MadeUp(tmp_path)
  path = {"zip": made_up.zip, "folder": made_up.folder, "gtFine": made_up.folder / "gtFine"}[form]
  source = made_up.source(path)
  assert source.event == EventSpec((32, 64), 8)
  assert source.codec.legend == CATEGORIES
  expected = {split: category_table(8)[[nearest(ids, (32, 64)) for ids in made_up.ids[split]]] for split in made_up.ids}
  found = everything(source)
  np.testing.assert_array_equal(found["train"], expected["train"][:5])
  np.testing.assert_array_equal(found["validation"], expected["train"][5:])
  np.testing.assert_array_equal(found["test"], expected["val"])


def test_what_is_prepared_needs_no_copy_and_sizes_are_kept_apart(tmp_path):
  made_up = MadeUp(tmp_path)
  first, large = made_up.source(made_up.zip), made_up.source(made_up.zip, shape=(128, 256))
  shutil.rmtree(made_up.folder)
  made_up.zip.unlink()
  assert made_up.source().fingerprint == first.fingerprint
  assert made_up.source(shape=(128, 256)).fingerprint == large.fingerprint
  classes = made_up.source(classes=34)
  assert classes.event.num_classes == 34
  np.testing.assert_array_equal(category_table(8)[everything(classes)["test"]], everything(first)["test"])
  assert large.event.shape == (128, 256)


def rewrite(made_up, change):
  """Changes the folder and packs it again."""
  change(made_up)
  made_up.pack()


def ids_of(value):
  return lambda m: Image.fromarray(np.full((64, 128), value, np.uint8)).save(m.file())


DAMAGE = {
  "absent": (lambda m: None, None, "register on the Cityscapes web site, get gtFine_trainvaltest.zip, .*path"),
  "wrong folder": (lambda m: shutil.rmtree(m.folder / "gtFine"), "both", "holds no gtFine/train/CITY"),
  "missing city": (lambda m: shutil.rmtree(m.file("ulm").parent), "both", "has 0 of the 4 files gtFine/train/ulm/"),
  "missing file": (lambda m: m.file("ulm", 2).unlink(), "both", "has 3 of the 4 files gtFine/train/ulm/.*unpack"),
  "another city": (lambda m: shutil.copytree(m.file().parent, m.folder / "gtFine" / "train" / "rome"), "both",
                   "has 3 of the 0 files gtFine/train/rome/"),
  "no PNG": (lambda m: m.file().write_bytes(b"<html>"), "both", "aachen_000000_000019_gtFine_labelIds.png is no PNG"),
  "truncated PNG": (lambda m: m.file().write_bytes(m.file().read_bytes()[:100]), "both", "labelIds.png cannot be read"),
  "unknown id": (ids_of(34), "both", "labelIds.png has the label id 34, but Cityscapes has 0 to 33"),
}  # fmt: skip


@pytest.mark.parametrize("form", ["zip", "folder"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_one_line_with_a_remedy(tmp_path, damage, form):
  made_up = MadeUp(tmp_path)
  change, where, message = DAMAGE[damage]
  rewrite(made_up, change)
  path = None if where is None else made_up.zip if form == "zip" else made_up.folder
  with pytest.raises(InputError, match=message) as caught:
    made_up.source(path)
  assert "\n" not in str(caught.value)


def test_damage_of_the_archive_is_named(tmp_path):
  made_up = MadeUp(tmp_path)
  content = made_up.zip.read_bytes()
  made_up.zip.write_bytes(content[:1000])
  with pytest.raises(InputError, match=r"truncated or no zip file .*get gtFine_trainvaltest.zip again"):
    made_up.source(made_up.zip)
  start = content.index(made_up.file().read_bytes())
  made_up.zip.write_bytes(content[: start + 50] + bytes(50) + content[start + 100 :])
  with pytest.raises(InputError, match=r"aachen_000000_000019_gtFine_labelIds.png is damaged .*again"):
    made_up.source(made_up.zip)
  with pytest.raises(InputError, match="does not exist; correct the path"):
    made_up.source(tmp_path / "other.zip")


def test_license_plates_are_cars(tmp_path):
  made_up = MadeUp(tmp_path)
  rewrite(made_up, ids_of(255))
  assert (everything(made_up.source(made_up.zip))["train"][0] == CATEGORIES.names.index("vehicle")).all()


def test_a_copy_that_is_not_the_official_one_is_refused_by_counts(tmp_path):
  made_up = MadeUp(tmp_path)
  with pytest.raises(InputError, match="has 3 of the 174 files gtFine/train/aachen"):
    cityscapes(str(made_up.zip), data_dir=str(made_up.data_dir))


@pytest.mark.parametrize(
  ("keywords", "message"),
  [({"classes": 19}, "classes is 19; choose 8"), ({"shape": (64, 128)}, r"shape is \(64, 128\); choose \(32, 64\)")],
)
def test_other_variants_are_refused(keywords, message):
  with pytest.raises(InputError, match=message):
    cityscapes("anywhere", **keywords)

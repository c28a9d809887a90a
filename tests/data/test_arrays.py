"""Arrays: their integers, splits and fingerprint are the same however a file stores them; what is wrong is named."""

import inspect

import numpy as np
import pytest

from catgen.data import splits
from catgen.data.arrays import array_source, check_shape, load_arrays
from catgen.data.labels import Labels, check_labels, load_labels, numbered
from catgen.data.sets.array_file import array_file
from catgen.data.sets.label_maps import label_maps
from catgen.interfaces import InputError
from catgen.sources import Attribute

MAPS = np.random.default_rng(0).integers(0, 5, (60, 3, 4))


def everything(source):
  return {name: split.examples(np.arange(split.num_examples)).x for name, split in source.splits.items()}


def save(path, array, **options):
  (np.savez_compressed if options else np.savez)(path, array) if path.suffix == ".npz" else np.save(path, array)
  return str(path)


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">u2", ">i4", "<i8", ">u8"])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_splits_by_fractions_are_the_same_for_every_way_to_store_the_integers(tmp_path, dtype, order, suffix):
  reference = array_file(save(tmp_path / "reference.npy", MAPS.astype(np.uint8)), splits=(0.5, 0.25, 0.25))
  source = array_file(
    save(tmp_path / f"a{suffix}", np.asarray(MAPS.astype(dtype), order=order)), splits=(0.5, 0.25, 0.25)
  )
  assert source.fingerprint == reference.fingerprint
  for name, x in everything(source).items():
    np.testing.assert_array_equal(x, everything(reference)[name])
    assert x.dtype == np.int32


def test_saying_how_many_categories_there_are_moves_no_record(tmp_path):
  path = save(tmp_path / "a.npy", MAPS)
  found = [array_file(path, number, splits=(0.5, 0.25, 0.25)).fingerprint for number in (None, 5, 200, 256)]
  assert len(set(found)) == 1


def test_a_folder_and_an_array_of_the_same_maps_are_split_alike_by_fractions(tmp_path):
  from PIL import Image

  for i, ids in enumerate(MAPS):
    Image.fromarray(ids.astype(np.uint8)).save(tmp_path / f"{i:02}.png")
  fractions = (0.5, 0.25, 0.25)
  sources = [label_maps(str(tmp_path), splits=fractions), label_maps(str(tmp_path), 5, splits=fractions)]
  sources += [label_maps(save(tmp_path / "a.npy", MAPS), splits=fractions)]
  assert len({source.fingerprint for source in sources}) == 1
  assert {name: len(x) for name, x in everything(sources[0]).items()} == {
    name: len(x) for name, x in everything(sources[2]).items()
  }


def test_slices_and_transposes_in_memory_are_read_as_their_values():
  wide = np.zeros((60, 3, 8), np.int64)
  wide[..., ::2] = MAPS
  for array in (MAPS, wide[..., ::2], MAPS.copy(order="F")):
    source = array_source({"": array}, "here", None, (40, 10, 10))
    np.testing.assert_array_equal(np.concatenate(list(everything(source).values())), MAPS)


@pytest.mark.parametrize("shape", [(9,), (9, 1), (9, 2, 3, 4)])
def test_examples_have_any_shape_and_a_stream_is_cut(tmp_path, shape):
  array = np.arange(np.prod(shape)).reshape(shape) % 7
  length = 2 if len(shape) == 1 else None
  source = array_file(save(tmp_path / "a b.npy", array), length=length, splits=(1.0, 0, 0))
  (x,) = everything(source).values()
  np.testing.assert_array_equal(x, array[:8].reshape(4, 2) if length else array)
  assert source.position == ("pixel" if len(shape) > 2 else "value")


def test_booleans_are_two_categories_and_constant_data_has_two(tmp_path):
  source = array_file(save(tmp_path / "a.npy", MAPS > 2), splits=(1.0, 0, 0))
  np.testing.assert_array_equal(everything(source)["train"], MAPS > 2)
  assert source.event.num_classes == 2
  assert array_file(save(tmp_path / "b.npy", np.zeros((3, 2), int)), splits=(1.0, 0, 0)).event.num_classes == 2


@pytest.mark.parametrize(("largest", "num_classes", "fits"), [(4, 5, True), (4, 4, False), (255, 256, True)])
def test_the_largest_category_is_one_below_their_number(tmp_path, largest, num_classes, fits):
  array = np.zeros((3, 2), np.uint8)
  array[2, 1] = largest
  path = save(tmp_path / "a.npy", array)
  if fits:
    assert array_file(path, num_classes, splits=(1.0, 0, 0)).event.num_classes == num_classes
    assert array_file(path, splits=(1.0, 0, 0)).event.num_classes == largest + 1
  else:
    with pytest.raises(InputError, match=r"a\.npy: category 4 at index \(2, 1\) is outside 0\.\.3"):
      array_file(path, num_classes, splits=(1.0, 0, 0))


def test_a_value_outside_is_named_by_its_place_in_the_whole_array(monkeypatch):
  monkeypatch.setattr(inspect.unwrap(splits.blocks), "__defaults__", (8,))
  array = np.zeros((9, 4), int)
  array[7, 2] = 3
  with pytest.raises(InputError, match=r"^here: array 'test': category 3 at index \(7, 2\)"):
    array_source({"train": array * 0, "test": array}, "here", 3, (1.0, 0, 0))


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("member", ["train", "given_train"])
def test_damage_anywhere_in_an_archive_is_one_line(tmp_path, compressed, member):
  path = tmp_path / "a.npz"
  arrays = {"train": np.random.default_rng(0).integers(0, 5, (60, 40)), "given_train": np.arange(60) % 40}
  (np.savez_compressed if compressed else np.savez)(path, **arrays)
  content = path.read_bytes()
  start = content.index(f"{member}.npy".encode()) + 90  # after the name, inside the data
  path.write_bytes(content[:start] + bytes(b ^ 0xFF for b in content[start : start + 30]) + content[start + 30 :])
  with pytest.raises(
    InputError, match=r"a\.npz is no readable \.npy or \.npz file of integers .*; write it again$"
  ) as e:
    array_file(str(path))
  assert "\n" not in str(e.value)


@pytest.mark.parametrize("names", [("val", "validation"), ("valid", "val"), ("given_val", "given_valid")])
def test_two_arrays_of_one_split_are_refused_and_none_is_dropped(tmp_path, names):
  np.savez(tmp_path / "a.npz", train=MAPS, test=MAPS, **dict.fromkeys(names, MAPS[:, 0, 0]))
  with pytest.raises(InputError, match=r"a\.npz has several arrays of one split \(.*\); keep one of each"):
    array_file(str(tmp_path / "a.npz"))


@pytest.mark.parametrize("alias", ["validation", "val", "valid"])
def test_validation_goes_by_three_names(tmp_path, alias):
  np.savez(
    tmp_path / "a.npz", **{alias: MAPS[:2], "train": MAPS[2:], f"given_{alias}": [0, 1], "given_train": [1] * 58}
  )
  source = array_file(str(tmp_path / "a.npz"))
  assert list(source.splits) == ["train", "validation"]
  np.testing.assert_array_equal(everything(source)["validation"], MAPS[:2])
  assert source.splits["validation"].examples(np.arange(2)).given.tolist() == [[0], [1]]


@pytest.mark.parametrize("dtype", ["f4", "f8", "c8", "U3", "S3", "M8"])
def test_what_is_no_integers_is_named_with_its_dtype(dtype):
  array = np.zeros((2, 2), dtype)
  with pytest.raises(InputError, match=rf"array 'test' has dtype .*{array.dtype}.*; integers are needed: convert it"):
    check_shape("test", array, array, None)


def test_files_that_need_python_objects_are_refused_unopened(tmp_path):
  path = tmp_path / "a.npy"
  np.save(path, np.array([[1, 2], [3, None]], object), allow_pickle=True)
  with pytest.raises(InputError, match="is no readable"):
    load_arrays(str(path))


def test_labels_are_numbered_in_order_of_their_words():
  found = numbered("color", {"train": ["red", "", "blue"], "test": ["é", "red"]})
  assert found.attributes == (Attribute("color", ("blue", "red", "é")),)
  assert {name: numbers.ravel().tolist() for name, numbers in found.numbers.items()} == {
    "train": [1, 3, 0],
    "test": [2, 1],
  }
  with pytest.raises(InputError, match=r"^no record has a color; leave labels out$"):
    numbered("color", {"": ["", ""]})


@pytest.mark.parametrize("dtype", ["i1", ">i2", "u8", bool])
def test_labels_in_a_file_may_have_any_integer_type(tmp_path, dtype):
  np.savez(tmp_path / "a.npz", x=MAPS[:3], given=np.array([1, 0, 1], dtype))
  found = load_labels(str(tmp_path / "a.npz"))
  assert found.numbers[""].tolist() == [[1], [0], [1]]
  assert found.attributes == (Attribute("label", ("0", "1")),)
  assert load_labels(save(tmp_path / "b.npy", MAPS)) is None


@pytest.mark.parametrize(
  ("numbers", "arrays", "message"),
  [
    ({"": 2}, {"": 3}, "2 labels are given for the 3 examples; give one for each"),
    ({"train": 3}, {"train": 3, "test": 1}, "0 labels are given for the 1 examples of 'test'"),
    ({"train": 3, "test": 1}, {"train": 3}, "1 labels are given for the 0 examples of 'test'"),
  ],
)
def test_every_record_has_its_label_and_every_label_a_record(numbers, arrays, message):
  given = Labels((), {name: np.zeros((size, 1), np.int32) for name, size in numbers.items()})
  with pytest.raises(InputError, match=message):
    check_labels(given, {name: np.zeros((size, 2), int) for name, size in arrays.items()}, None)

"""What `fit` chooses for data in hand: sections that give back the data when they are read, and one line for others."""

import codecs
import gzip
import pathlib

import numpy as np
import pytest

from catgen.config import apply_overrides, make_source, resolve
from catgen.interfaces import InputError
from catgen.runs import choose as module
from catgen.runs.choose import FAMILIES, FEW_RECORDS, LONGEST_RECORD, choose, plan

RNG = np.random.default_rng(0)
WORDS = ["the ", "cat ", "sat ", "on ", "a ", "mät "]


def words(number, length=12, seed=0):
  rng = np.random.default_rng(seed)
  return ["".join(rng.choice(list("abcdé"), length)) for _ in range(number)]


def source_of(chosen):
  return make_source(resolve(chosen.config)["data"])


def records(source):
  """Returns the examples of all splits as a user knows them."""
  found = []
  for split in source.splits.values():
    batch = split.examples(np.arange(split.num_examples))
    found += [source.codec.decode(x, valid) for x, valid in zip(batch.x, batch.valid, strict=True)]
  return found


def refused(message, data, workdir="unused", **keywords):
  with pytest.raises(InputError, match=message) as caught:
    choose(data, workdir, **keywords)
  assert "\n" not in str(caught.value)
  return str(caught.value)


@pytest.mark.parametrize("number", [3, 20, FEW_RECORDS - 1, FEW_RECORDS, FEW_RECORDS + 100])
def test_texts_of_one_length_are_records_and_all_come_back(tmp_path, number):
  texts = words(number)
  chosen = choose(texts, tmp_path / "new run")
  source = source_of(chosen)
  assert chosen.config["data"]["kind"] == "text_lines"
  assert sorted(records(source)) == sorted(texts)
  assert set(source.splits) == {"train", "validation", "test"}
  assert source.event.shape == (12,)
  assert f"{number:,} texts of 12 characters" in chosen.reasons[0]


def test_few_records_are_dealt_by_the_seed_and_the_same_each_time(tmp_path):
  texts = words(40)
  found = [records(source_of(choose(texts, tmp_path / str(i), seed=seed))) for i, seed in enumerate((0, 0, 1))]
  assert found[0] == found[1] != found[2]
  assert found[0] != texts  # sorted files are not cut into a beginning and an end
  assert choose(texts, tmp_path / "3", seed=7).config["seed"] == 7


@pytest.mark.parametrize(
  ("texts", "between"),
  [
    (["short one", "a longer text"] * 30, "\n"),
    (["line\nbreak", "line\nbreaks"] * 30, "\n\n"),
    (["old\rmac"] * 60, "\n\n"),
    (["x" * (LONGEST_RECORD + 1), "y" * (LONGEST_RECORD + 1)], "\n"),
    (["", "", *["ab" * 50] * 2], "\n"),
  ],
)
def test_texts_of_other_lengths_are_one_stream_with_breaks_between_them(tmp_path, texts, between):
  chosen = choose(texts, tmp_path)
  assert chosen.config["data"]["kind"] == "text_file"
  assert (tmp_path / "data.txt").read_bytes().decode() == between.join(texts)
  source = source_of(chosen)
  joined, examples = between.join(texts), records(source)
  assert all(example in joined for example in examples)
  assert source.event.shape == (chosen.config["data"]["length"],)


@pytest.mark.parametrize("shape", [(3, 6), (FEW_RECORDS, 40), (30, 4, 8), (30, 5, 6), (30, 2, 3, 4)])
@pytest.mark.parametrize("dtype", ["u1", ">i4", "i8", bool])
def test_arrays_are_kept_and_all_examples_come_back(tmp_path, shape, dtype):
  array = RNG.integers(0, 2, shape).astype(dtype)
  chosen = choose(array, tmp_path)
  source = source_of(chosen)
  found = np.stack(records(source))
  assert sorted(map(bytes, found.astype("u1"))) == sorted(map(bytes, array.astype("u1")))
  assert source.event.shape == shape[1:]
  kind = chosen.config["model"]["network"]["kind"]
  assert kind == ("unet" if len(shape) == 3 and not any(size % 4 for size in shape[1:]) else "transformer")


@pytest.mark.parametrize("form", [list, tuple, np.asarray])
def test_a_stream_of_integers_may_be_a_list(tmp_path, form):
  stream = RNG.integers(0, 9, 3000).tolist()
  chosen = choose(form(stream), tmp_path)
  np.testing.assert_array_equal(np.load(tmp_path / "data.npy"), stream)
  assert chosen.config["data"]["length"] == module.STREAM_LENGTH
  np.testing.assert_array_equal(np.concatenate(records(source_of(chosen)))[:2000], stream[:2000])


@pytest.mark.parametrize("number", [48, 49, 200, 1535, 1536, 10_000])
def test_sequences_of_a_stream_are_short_enough_for_every_split(tmp_path, number):
  source = source_of(choose(RNG.integers(0, 3, number), tmp_path))
  assert all(split.num_examples for split in source.splits.values())
  assert source.event.shape == (min(module.STREAM_LENGTH, number // module.SHORTEST_SPLIT),)


@pytest.mark.parametrize("name", ["a b é.txt", "a.txt.gz", "a.npy", "a.npz"])
@pytest.mark.parametrize("form", [str, pathlib.Path, "home"])
def test_a_path_is_read_where_it_lies_whichever_way_it_is_written(tmp_path, monkeypatch, name, form):
  monkeypatch.setenv("HOME", str(tmp_path))
  text = "".join(np.random.default_rng(1).choice(WORDS, 800))
  path = tmp_path / name
  if name.endswith(("y", "z")) and "gz" not in name:
    (np.save if name.endswith("y") else np.savez)(path, RNG.integers(0, 4, (250, 6)))
  else:
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
  chosen = choose(f"~/{name}" if form == "home" else form(path), tmp_path / "run")
  assert chosen.config["data"]["path"] == str(path)
  assert source_of(chosen).splits["train"].num_examples > 0
  assert not (tmp_path / "run").exists()  # nothing is copied


def test_a_folder_is_one_of_label_maps(tmp_path):
  from PIL import Image

  for i in range(60):
    Image.fromarray(RNG.integers(0, 3, (8, 12)).astype(np.uint8)).save(tmp_path / f"{i}.png")
  chosen = choose(str(tmp_path), tmp_path)
  assert chosen.config["data"] == {"kind": "label_maps", "path": str(tmp_path), "splits": (54, 3, 3)}
  assert chosen.config["model"]["network"]["patch_size"] == 1  # 12 is no multiple of 8
  (tmp_path / "val").mkdir()
  (tmp_path / "0.png").rename(tmp_path / "val" / "0.png")
  (tmp_path / "train").mkdir()
  for path in tmp_path.glob("*.png"):
    path.rename(tmp_path / "train" / path.name)
  chosen = choose(str(tmp_path), tmp_path)
  assert "splits" not in chosen.config["data"]
  assert {name: split.num_examples for name, split in source_of(chosen).splits.items()} == {
    "train": 59,
    "validation": 1,
  }


COLORS = np.array([(0, 0, 0), (128, 64, 128), (0, 0, 142)], np.uint8)
IN_COLORS = {"data.colors": ["#000000,#804080,#00008e"]}
KEYED = {  # how a map is drawn, by its number and its ids -> the keys that it takes to read such a folder
  "sizes": (lambda i, ids: ids[: 6 + i % 2], {"data.shape": "(4, 12)"}, (4, 12), 3),
  "colors": (lambda i, ids: COLORS[ids], IN_COLORS, (8, 12), 3),
  "far apart": (lambda i, ids: ids.astype(np.uint16) * 9000, {"data.relabel": True}, (8, 12), 3),
  "void": (lambda i, ids: np.where(ids, ids, 255).astype(np.uint8), {"data.ignore": "255"}, (8, 12), 3),
}


@pytest.mark.parametrize("case", KEYED)
def test_a_folder_is_read_by_the_keys_that_are_given(tmp_path, case):
  from PIL import Image

  drawn, keys, shape, num_classes = KEYED[case]
  for i in range(60):
    ids = RNG.integers(0, 3, (8, 12)).astype(np.uint8)
    Image.fromarray(drawn(i, ids)).save(tmp_path / f"{i}.png")
  chosen = plan(str(tmp_path), tmp_path / "run", overrides={"training.num_steps": 3, **keys})
  source = make_source(resolve(apply_overrides(chosen.config, keys))["data"])
  assert (source.event.shape, source.event.num_classes) == (shape, num_classes)
  assert {name: split.num_examples for name, split in source.splits.items()} == {
    "train": 54,
    "validation": 3,
    "test": 3,
  }
  if case != "void":  # which is a category of its own unless keys say otherwise
    refused(".", str(tmp_path), tmp_path / "run")


def test_the_size_that_is_asked_for_decides_about_the_network(tmp_path):
  maps = RNG.integers(0, 3, (30, 33, 35))
  keys = {"data.kind": "label_maps", "data.shape": (32, 36)}
  refused(r"examples of shape \(33, 35\) have more than 1024 positions.*data.shape of label_maps", maps, tmp_path)
  np.save(tmp_path / "maps.npy", maps)
  for data in (maps, str(tmp_path / "maps.npy")):
    assert plan(data, tmp_path, overrides=keys).config["model"]["network"]["kind"] == "unet"
  colored = {"data.kind": "label_maps", **IN_COLORS}
  assert plan(COLORS[maps[:, :32, :32]], tmp_path, overrides=colored).config["model"]["network"]["kind"] == "unet"
  refused("label maps of two axes: of one-hot maps array.argmax", maps[..., None] == range(3), tmp_path)


def test_a_table_is_read_by_the_keys_that_are_given(tmp_path):
  path = str(tmp_path / "a.csv")
  pathlib.Path(path).write_bytes(("a,b\n" + "1,x\n2,ä\n" * 40).encode("utf-16-le"))
  refused("a.csv", path, tmp_path)
  chosen = plan(path, tmp_path, overrides={"data.encoding": "utf-16-le"})
  assert chosen.reasons[0].startswith(f"{path}: a table of 80 rows of 2 columns")


@pytest.mark.parametrize("number", [3, 300])
def test_a_folder_of_texts_is_one_of_documents(tmp_path, number):
  for i, text in enumerate(words(number, 100)):
    (tmp_path / f"{i}.txt").write_text(text)
  chosen = choose(str(tmp_path), tmp_path / "run")
  assert chosen.config["data"]["kind"] == "text_folder"
  assert f"{number} documents" in chosen.reasons[0]
  assert set(source_of(chosen).splits) == {"train", "validation", "test"}
  assert sorted("".join(pair) for pair in zip(*[iter(records(source_of(chosen)))] * 2, strict=True)) == sorted(
    words(number, 100)
  )


def test_documents_are_counted_as_they_are_read_whatever_else_is_in_their_folder(tmp_path):
  for i, text in enumerate(words(5, 100, seed=1)):
    (tmp_path / f"{i}.TXT").write_text(text)
  (tmp_path / "empty.txt").touch()
  (tmp_path / "mark.txt").write_bytes(codecs.BOM_UTF8)
  (tmp_path / "packed.txt.gz").write_bytes(gzip.compress(b""))
  (tmp_path / ".git").mkdir()
  (tmp_path / ".git" / "description.txt").write_text("hidden")
  (tmp_path / "link.txt").symlink_to("empty.txt")
  chosen = choose(str(tmp_path), tmp_path / "run")
  assert "5 documents" in chosen.reasons[0]
  assert chosen.config["data"]["splits"] == (3, 1, 1)
  assert len(source_of(chosen).splits) == 3


@pytest.mark.parametrize("number", [1, 300])
def test_fasta_is_sequences_in_windows(tmp_path, number):
  lines = [f">{i}\n{''.join(RNG.choice(list('ACGT'), 640))}\n" for i in range(number)]
  (tmp_path / "genome.fa").write_text("".join(lines))
  chosen = choose(tmp_path / "genome.fa", tmp_path / "run")
  assert chosen.config["data"]["kind"] == "fasta"
  assert ("splits" in chosen.config["data"]) == (number == 1)
  assert len(records(source_of(chosen))) == 10 * number


@pytest.mark.parametrize("name", ["a.csv", "a.TSV", "a.csv.gz"])
def test_a_file_of_separated_cells_is_a_table_and_a_text_stays_text(tmp_path, name):
  comma = "\t" if "TSV" in name else ","
  content = f"age{comma}job\n" + "".join(f"{i % 30}{comma}clerk{i % 3}\n" for i in range(300))
  with (gzip.open if name.endswith("gz") else open)(tmp_path / name, "wt") as file:
    file.write(content)
  chosen = choose(tmp_path / name, tmp_path / "run")
  assert "a table of 300 rows of 2 columns" in chosen.reasons[0]
  assert "text_table" in chosen.reasons[0]
  assert chosen.reasons[1].startswith("masked")
  assert {name: chosen.config["data"][name] for name in ("kind", "unknown")} == {
    "kind": "table_file",
    "unknown": "other",
  }
  assert source_of(chosen).event.shape == (2,)
  (tmp_path / "a.txt").write_text(content)
  assert choose(tmp_path / "a.txt", tmp_path / "run").config["data"]["kind"] == "text_file"
  (tmp_path / "a.jsonl").write_text('{"text": "some text"}\n' * 50)
  assert "text_table" in choose(tmp_path / "a.jsonl", tmp_path / "run").reasons[0]


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_few_examples_of_a_file_are_split_by_count(tmp_path, suffix):
  path = tmp_path / f"a{suffix}"
  (np.save if suffix == ".npy" else np.savez)(path, RNG.integers(0, 4, (30, 4)))
  source = source_of(choose(path, tmp_path))
  assert {name: split.num_examples for name, split in source.splits.items()} == {
    "train": 28,
    "validation": 1,
    "test": 1,
  }
  np.savez(path.with_suffix(".npz"), train=RNG.integers(0, 4, (30, 4)), test=RNG.integers(0, 4, (7, 4)))
  source = source_of(choose(path.with_suffix(".npz"), tmp_path))
  assert {name: split.num_examples for name, split in source.splits.items()} == {"train": 30, "test": 7}


@pytest.mark.parametrize("family", [None, *FAMILIES])
@pytest.mark.parametrize("data", ["texts", "records", "maps"])
def test_every_choice_is_a_configuration_and_says_why(tmp_path, family, data):
  given = {"texts": words(30), "records": RNG.integers(0, 4, (30, 5)), "maps": RNG.integers(0, 4, (30, 8, 8))}[data]
  chosen = choose(given, tmp_path, family=family)
  resolved = resolve(chosen.config)
  usual = {"texts": "autoregressive", "records": "masked", "maps": "multinomial"}[data]
  assert chosen.reasons[1].startswith(f"{family or usual}: {'as asked' if family else ''}")
  expected = {"masked": "absorbing", "multinomial": "uniform"}.get(family or usual)
  assert resolved["model"].get("process", {}).get("kind") == expected
  assert (resolved["model"]["network"]["kind"] == "unet") == (data == "maps" and expected is not None)
  assert len(chosen.reasons) == 3


def test_the_same_data_go_on_and_others_are_refused(tmp_path):
  texts, array = words(30), RNG.integers(0, 4, (30, 5))
  assert choose(texts, tmp_path).config == choose(tuple(texts), tmp_path).config
  refused("data.txt has other data, and no run was begun with them; remove it", words(30, seed=1), tmp_path)
  (tmp_path / "config.json").touch()
  refused("holds a run on other data; give another work directory, or the same data", words(30, seed=1), tmp_path)
  assert choose(array, tmp_path).config == choose(array.copy(order="F"), tmp_path).config
  refused("holds a run on other data", array[:, ::-1].copy(), tmp_path)
  refused("holds a run on other data", array, tmp_path, seed=1)  # other records would be held out


@pytest.mark.parametrize(
  ("data", "message"),
  [
    ([], "data are a list of float64; give a list of strings, a path, an array of integers or a data frame"),
    ([0.5, 1.0], "data are a list of float64"),
    (["a", 1], "data are a list of <U"),
    ([[1, 2], [3]], "data are examples of different shapes; bring all to one, or give a list of strings"),
    (np.zeros((3, 4)), "the array has dtype float64; integers are needed: convert it"),
    (np.zeros((0, 4), int), r"the array has shape \(0, 4\) and no data; the first axis must number examples"),
    (np.ma.masked_equal(np.eye(9, dtype=int), 1), r"the array has a mask, which would be lost; give array\.filled"),
    (list(np.ma.masked_equal(np.eye(9, dtype=int), 1)), "the array has a mask"),
    (np.zeros((), int), r"the array has shape \(\) and no data"),
    (np.zeros(47, int), "a stream of 47 integers is too short; bring at least 48"),
    (np.zeros((2, 4), int), r"2 examples cannot be split into train, validation and test; bring at least 3"),
    (["ab"], r"1 example cannot be split"),
    (["", ""], "has 1 characters, too few to learn from; bring at least 48"),
    (np.zeros((9, 33, 33), int), r"examples of shape \(33, 33\) have more than 1024 positions; bring shorter ones"),
    ("no such file.txt", "there is no file 'no such file.txt'; give the path of a text, a .npy or .npz file"),
    ("two lines\nof a text", r"there is no file 'two lines\\nof a text'; .*or the texts themselves as a list of str"),
    ("nothing.npy", "nothing.npy is no readable .npy or .npz file"),
  ],
)
def test_data_that_cannot_be_learned_from_are_named_and_leave_nothing_behind(tmp_path, data, message):
  refused(message, data, tmp_path)
  assert not list(tmp_path.iterdir())
  choose(words(30), tmp_path)  # so that other data can follow


@pytest.mark.parametrize("array", [np.int64(3), np.zeros((0, 3), int), np.zeros((4, 4))])
def test_arrays_of_files_are_checked_like_those_in_memory(tmp_path, array):
  np.save(tmp_path / "a.npy", array)
  refused("the array has (dtype float64; integers are needed|shape .* and no data)", str(tmp_path / "a.npy"), tmp_path)


def test_a_single_picture_is_no_text(tmp_path):
  (tmp_path / "map.PNG").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500))
  refused(r"map\.PNG is a single picture; give the folder of all", str(tmp_path / "map.PNG"), tmp_path / "run")


def test_a_text_in_place_of_a_path_does_not_flood_the_screen(tmp_path):
  assert len(refused("there is no file 'abcabc.*as a list of strings", "abc" * 10**5, tmp_path)) < 500


def test_an_unknown_family_is_named_before_anything_is_written(tmp_path):
  refused(f"family is 'flow'; choose one of {', '.join(FAMILIES)}, or None", words(30), tmp_path, family="flow")
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("number", "layers", "kind"), [(400, 2, "adam"), (module.FEW_ROWS, 4, "muon")])
def test_few_rows_of_a_table_get_a_small_network_and_no_more_steps_than_they_bear(tmp_path, number, layers, kind):
  frame = {"a": list(range(number)), "b": ["x", "y"] * (number // 2)}
  chosen = choose(frame, tmp_path)
  assert chosen.config["model"]["network"]["num_layers"] == layers
  assert ("dropout" in chosen.config["model"]["network"]) == (layers == 2)
  assert chosen.config["optimizer"]["kind"] == kind
  rows = module.ROWS_AT_ONCE
  assert chosen.config["training"]["batch_size"] == rows
  assert chosen.most_steps == max(600, 30 * number // rows)
  assert choose(frame, tmp_path, family="autoregressive").most_steps == max(200, 12 * number // rows)
  assert choose(words(300), tmp_path / "texts").most_steps is None


def test_a_table_is_cut_alike_as_a_frame_and_as_a_file(tmp_path):
  pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
  frame = {"a": list(range(400)), "b": ["x", "y"] * 200}
  path = tmp_path / "table.parquet"
  parquet.write_table(pyarrow.table(frame), path)
  chosen = [choose(data, tmp_path / str(number)) for number, data in enumerate((frame, path))]
  assert {each.config["data"]["num_bins"] for each in chosen} == {20}
  assert len({each.most_steps for each in chosen}) == 1


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
  ("text", "encoding"), [("天地玄黃宇宙洪荒日", "utf-8"), ("мир и ты", "utf-16"), ("ab c", "utf-8")]
)
@pytest.mark.parametrize("number", [90, 5400])
def test_a_stream_is_sized_by_its_characters(tmp_path, text, encoding, number, packed):
  path = tmp_path / ("a.txt.gz" if packed else "a.txt")
  content = (text * number)[:number].encode(encoding)
  path.write_bytes(gzip.compress(content) if packed else content)
  chosen = choose(path, tmp_path / "run")
  assert chosen.config["data"]["length"] == min(module.STREAM_LENGTH, number // module.SHORTEST_SPLIT)
  assert all(split.num_examples for split in source_of(chosen).splits.values())


def test_only_the_beginning_of_a_large_file_is_read_to_size_it(tmp_path, monkeypatch):
  path, most, own = tmp_path / "a.txt", [], module.open_bytes
  path.write_text("ab c" * 10_000)
  monkeypatch.setattr(module, "open_bytes", lambda path, size: most.append(size) or own(path, size))
  assert choose(path, tmp_path / "run").config["data"]["length"] == module.STREAM_LENGTH
  assert most == [4 * module.STREAM_LENGTH * module.SHORTEST_SPLIT + 4]


def test_an_array_of_texts_is_a_list_of_them(tmp_path):
  texts = words(40)
  assert choose(np.array(texts), tmp_path / "a").config["data"]["kind"] == "text_lines"
  choose(texts, tmp_path / "b")
  assert (tmp_path / "a" / "data.txt").read_bytes() == (tmp_path / "b" / "data.txt").read_bytes()

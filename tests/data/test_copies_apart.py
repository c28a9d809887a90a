"""Split rule 4: copies of a record go apart, so that each split is a sample of the law that the data are one of."""

import collections
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catgen.data.sets.array_file import array_file
from catgen.data.sets.text_lines import text_lines
from catgen.data.sets.text_table import text_table
from catgen.data.splits import NAMES, hash_fraction, record_numbers, split_of
from catgen.interfaces import InputError
from tests.data.tabular.tables import read

SPLITS = (0.6, 0.2, 0.2)


def members(contents, rule=4, splits=SPLITS):
  """Returns the contents of the records of each split, sorted."""
  found = record_numbers(len(contents), splits, "lines", contents.__getitem__, rule=rule)
  return {name: sorted(contents[i] for i in numbers) for name, numbers in found.items()}


def multisets(source):
  """Returns how often each example, with what is given with it, occurs in each split."""
  found = {}
  for name, split in source.splits.items():
    batch = split.examples(np.arange(split.num_examples))
    given = np.zeros((len(batch.x), 0)) if batch.given is None else batch.given
    rows = zip(batch.x.tolist(), batch.valid.tolist(), given.tolist(), strict=True)
    found[name] = collections.Counter(map(str, rows))
  return found


def errors_of_test_bits(law, number, count, parts):
  """Returns (bits of the law on the test split - entropy) / reported error, of `count` data sets of `number` records.

  parts: (categories of the records, number of the data set) -> those of the test split.
  """
  rng, entropy, found = np.random.default_rng(0), -float(law @ np.log2(law)), []
  for i in range(count):
    bits = -np.log2(law[parts(rng.choice(law.size, number, p=law), i)])
    found.append((bits.mean() - entropy) / (bits.std(ddof=1) / math.sqrt(bits.size)))
  return np.array(found)


def test_bits_of_the_true_law_on_the_test_split_are_the_entropy_within_the_reported_error():
  law = 1 / np.arange(1, 41)  # of lines, by Zipf
  law /= law.sum()

  def test_split(rule):
    def parts(values, i):
      found = record_numbers(values.size, SPLITS, "lines", lambda row: f"{i} {values[row]}".encode(), rule=rule)
      return values[found["test"]]

    return parts

  z = errors_of_test_bits(law, 400, 100, test_split(4))
  assert abs(z.mean()) < 4 / math.sqrt(z.size)
  assert 0.75 < z.std() < 1.25
  together = errors_of_test_bits(law, 400, 40, test_split(3))
  assert together.std() > 4  # whole atoms of the law, and no sample of it


def test_a_table_of_few_categories_is_split_into_samples_of_its_law(tmp_path):
  law = np.array([30, 2, 10, 5, 20, 3, 4, 26]) / 100  # of the rows of a table of 2 x 2 x 2

  def parts(values, i):
    rows = "".join(f"a{i}{v & 1},b{i}{v >> 1 & 1},c{i}{v >> 2}\n" for v in values.tolist())
    source = read(tmp_path, f"a,b,c\n{rows}", splits=SPLITS)
    split = source.splits["test"]
    return split.examples(np.arange(split.num_examples)).x @ [1, 2, 4]

  z = errors_of_test_bits(law, 200, 40, parts)
  assert abs(z.mean()) < 4 / math.sqrt(z.size)
  assert 0.7 < z.std() < 1.3


@pytest.mark.parametrize("rule", [1, 2, 3, 4])
def test_first_copies_go_where_rule_3_puts_them(rule):
  contents = [f"{i % 150}".encode() for i in range(400)]
  found = record_numbers(400, SPLITS, "lines", contents.__getitem__, rule=rule)
  alone = record_numbers(150, SPLITS, "lines", contents.__getitem__, rule=rule)
  owner = {int(i): name for name, numbers in found.items() for i in numbers}
  for name in NAMES:
    hashed = split_of(np.array([hash_fraction(each) for each in contents[:150]]), SPLITS)
    np.testing.assert_array_equal(alone[name], np.flatnonzero(hashed == NAMES.index(name)))  # without repeats
    assert all(owner[i] == name for i in alone[name].tolist())
  later = [owner[i] == owner[i % 150] for i in range(150, 400)]
  assert all(later) if rule < 4 else 0.3 < np.mean(later) < 0.6


def test_more_copies_move_none_that_were_there():
  contents = [b"a"] * 50 + [b"b"] * 50
  few, more = members(contents), members(contents * 2)
  for name in NAMES:
    assert not collections.Counter(few[name]) - collections.Counter(more[name])


def test_copies_lie_where_rule_4_has_always_put_them():
  """By the first thing beside them that differs, then by the second: runs were split so, and go on with their data."""
  contents, early, last = [b"a", b"b"] * 8 + [b"c"], [i // 8 for i in range(17)], [16 - i for i in range(17)]
  beside = [lambda i: bytes([early[i]]), lambda i: bytes([last[i]])]
  found = record_numbers(17, SPLITS, "lines", contents.__getitem__, beside=beside)
  train, validation, test = (found[name].tolist() for name in NAMES)
  assert train == [0, 3, 4, 7, 8, 9, 10, 11, 12, 13]
  assert validation == [1, 2, 5, 6, 15]
  assert test == [14, 16]


@given(st.lists(st.sampled_from([b"", b"a", b"b", b"c"]), min_size=3, max_size=30), st.randoms())
@settings(max_examples=60, deadline=None)
def test_no_split_of_few_records_is_empty_whatever_their_order(contents, random):
  found = members(contents, splits=(0.9, 0.05, 0.05))
  assert all(found[name] for name in NAMES)
  assert sorted(itertools.chain(*found.values())) == sorted(contents)
  shuffled = random.sample(contents, len(contents))
  assert members(shuffled, splits=(0.9, 0.05, 0.05)) == found


def test_few_long_records_that_are_cut_are_not_dealt_one_to_each_split(tmp_path):
  (tmp_path / "a.txt").write_text("ab" * 500 + "\nba\nbb")
  with pytest.raises(InputError, match=r"split got none of the 3 lines .* give splits as counts"):
    text_lines(str(tmp_path / "a.txt"), 4, longer="windows")
  assert text_lines(str(tmp_path / "a.txt"), 4, longer="cut").splits.keys() == set(NAMES)


def test_what_is_of_no_split_fills_an_empty_one():
  assert members([b"a", b"b"], splits=(0.001, 0, 0.001)).keys() == {"train", "test"}


def test_an_empty_split_gets_the_record_whose_hash_is_nearest_to_its_middle():
  contents = [b"108", b"38", b"175", b"4"]
  np.testing.assert_allclose([hash_fraction(each) for each in contents], [0.05, 0.19, 0.93, 0.97], atol=0.005)
  assert members(contents, splits=(0.2, 0.7, 0.1))["validation"] == [b"38"]


def test_a_split_without_a_record_says_what_to_do():
  with pytest.raises(InputError, match="got none of the 2 lines; give splits as counts, which go by the order of the "):
    members([b"a", b"b"])
  with pytest.raises(InputError, match=r"say split_rule=4, by which .*, or give splits as counts, such as .*order of"):
    members([b"a"] * 100, rule=3)


def test_the_order_of_lines_decides_nothing_nor_do_their_labels(tmp_path):
  rng = np.random.default_rng(1)
  lines = [f"{a}\t{b}{c}" for a, b, c in rng.choice(list("xyz"), (400, 3))]

  def source(lines):
    (tmp_path / "a.txt").write_text("\n".join(lines))
    return text_lines(str(tmp_path / "a.txt"), 2, splits=SPLITS, label_column=0)

  assert multisets(source(lines)) == multisets(source(lines[::-1])) == multisets(source(sorted(lines)))
  (tmp_path / "a.csv").write_text("label,text\n" + "\n".join(rng.permutation(lines)).replace("\t", ","))
  rows = text_table(str(tmp_path / "a.csv"), labels=("label",), length=2, splits=SPLITS)
  assert multisets(rows) == multisets(source(lines))


@pytest.mark.parametrize("wide", [False, True])
def test_the_order_of_arrays_decides_nothing_nor_do_their_labels(tmp_path, wide):
  rng = np.random.default_rng(2)
  ids, labels = rng.integers(0, 3, (500, 2)) * (2**32 if wide else 1), rng.integers(0, 2, 500)

  def source(order):
    np.savez(tmp_path / "a.npz", ids=ids[order], given=labels[order])
    return array_file(str(tmp_path / "a.npz"), splits=SPLITS, relabel=wide)

  orders = [np.arange(500), rng.permutation(500), np.lexsort((ids[:, 0], labels))]
  one, *others = (multisets(source(order)) for order in orders)
  assert one == others[0] == others[1]


def test_neither_order_nor_spelling_nor_labels_of_rows_decide_anything(tmp_path):
  rng = np.random.default_rng(3)
  rows = [f"{a},{b},{c}" for a, b, c in zip(*(rng.choice(each, 400) for each in (A, B, ("u", "v"))), strict=True)]

  def source(rows):
    return read(tmp_path, "a,b,c\n" + "\n".join(rows), splits=SPLITS, labels=["c"])

  assert multisets(source(rows)) == multisets(source(rows[::-1])) == multisets(source(sorted(rows)))
  spelled = [row.replace("2.5,", "2.50,") for row in rows]
  assert multisets(source(spelled)) == multisets(source(rows))


A, B = (
  ("1", "1.0", "x", "NA", ""),
  ("2.5", "3", "4"),
)  # one column of texts, in which 1 and 1.0 are two, and one of numbers


@pytest.mark.parametrize("repeats", [False, True])
def test_the_sha_256_is_that_of_rule_3_where_no_record_repeats(tmp_path, repeats):
  rows = np.arange(90)[:, None] % (30 if repeats else 90) + np.arange(3)
  np.save(tmp_path / "a.npy", rows)
  (tmp_path / "a.txt").write_text("\n".join("".join(chr(65 + i) for i in row) for row in rows))
  table = "a,b,c\n" + "\n".join(",".join(map(str, row)) for row in rows)
  for source in (
    lambda rule: array_file(str(tmp_path / "a.npy"), splits=SPLITS, split_rule=rule),
    lambda rule: text_lines(str(tmp_path / "a.txt"), 3, splits=SPLITS, split_rule=rule),
    lambda rule: read(tmp_path, table, splits=SPLITS, split_rule=rule, unknown="other"),
  ):
    assert (source(3).fingerprint == source(4).fingerprint) != repeats


def test_streams_and_counts_know_no_copies(tmp_path):
  np.save(tmp_path / "a.npy", np.zeros(900, int))
  streams = [array_file(str(tmp_path / "a.npy"), 2, 3, splits=SPLITS, split_rule=rule) for rule in (3, 4)]
  assert streams[0].fingerprint == streams[1].fingerprint
  assert members([b"a"] * 9, splits=(5, 2, 2)) == {"train": [b"a"] * 5, "validation": [b"a"] * 2, "test": [b"a"] * 2}

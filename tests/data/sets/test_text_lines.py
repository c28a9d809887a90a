"""Line records: padded, split without shared lines, read from the file."""

import itertools

import numpy as np
import pytest

from catgen.data.sets.text_lines import text_lines


def write(path, content):
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return str(path)


def records(source, name):
  """Returns the decoded records of a split."""
  split = source.splits[name]
  x, valid, *_ = split.examples(np.arange(split.num_examples))
  return [source.codec.decode(row, mask) for row, mask in zip(x, valid, strict=True)]


def sentences(count):
  generator = np.random.default_rng(0)
  return ["".join(generator.choice(list("acgt"), generator.integers(1, 9))) for _ in range(count)]


@pytest.mark.parametrize("line_break", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n"])
@pytest.mark.parametrize("letter", ["a", "\u00e4"])
def test_every_line_is_a_record_padded_to_length(tmp_path, line_break, last, letter):
  lines = [line.replace("a", letter) for line in sentences(50)]
  text = line_break.join(lines[:20] + [""] + lines[20:]) + last  # a blank line is skipped
  source = text_lines(write(tmp_path / "a.txt", text), 9, splits=(50, 0, 0))
  assert records(source, "train") == lines
  assert source.codec.spec["alphabet"] == "".join(sorted(set("".join(lines))))
  x, valid, *_ = source.splits["train"].examples(np.arange(50))
  np.testing.assert_array_equal(valid.sum(axis=1), [len(line) for line in lines])
  assert not x[~valid].any()
  assert source.bytes_per_position == pytest.approx(len("".join(lines).encode()) / len("".join(lines)))


def test_rule_3_never_puts_equal_lines_into_two_splits(tmp_path):
  lines = sentences(3000)
  source = text_lines(write(tmp_path / "a.txt", "\n".join(lines)), 9, splits=(0.6, 0.2, 0.2), split_rule=3)
  parts = {name: records(source, name) for name in source.splits}
  assert sorted(itertools.chain(*parts.values())) == sorted(lines)
  distinct = [set(part) for part in parts.values()]
  assert not distinct[0] & distinct[1]
  assert not distinct[0] & distinct[2]
  assert not distinct[1] & distinct[2]
  assert 0.5 < len(distinct[0]) / len(set(lines)) < 0.7


def test_the_order_of_the_file_does_not_decide_the_split(tmp_path):
  lines = sentences(300)
  forward = text_lines(write(tmp_path / "a.txt", "\n".join(lines)), 9)
  backward = text_lines(write(tmp_path / "b.txt", "\n".join(lines[::-1])), 9)
  for name in forward.splits:
    assert sorted(records(forward, name)) == sorted(records(backward, name))


def test_counts_follow_the_order_of_the_file(tmp_path):
  lines = sentences(30)
  source = text_lines(write(tmp_path / "a.txt", "\n".join(lines)), 9, splits=(20, 5, 3))
  assert [records(source, name) for name in source.splits] == [lines[:20], lines[20:25], lines[25:28]]


@pytest.mark.parametrize("alphabet", ["infer", "bytes"])
def test_longer_lines_are_cut_or_dropped_as_told(tmp_path, alphabet):
  path = write(tmp_path / "a.txt", "\u00e9bcdef\nab\nabcd\n" if alphabet == "infer" else "xbcdef\nab\nabcd\n")
  cut = text_lines(path, 4, alphabet, (3, 0, 0), longer="cut")
  assert [record[1:] for record in records(cut, "train")] == ["bcd", "b", "bcd"]
  dropped = text_lines(path, 4, alphabet, (2, 0, 0), longer="drop")
  assert records(dropped, "train") == ["ab", "abcd"]


def test_crops_of_records_are_the_records(tmp_path):
  source = text_lines(write(tmp_path / "a.txt", "\n".join(sentences(30))), 9, splits=(30, 0, 0))
  split = source.splits["train"]
  assert split.num_crops == split.num_examples == 30
  np.testing.assert_array_equal(split.crops(np.arange(30)).x, split.examples(np.arange(30)).x)


def test_a_line_cut_by_max_bytes_is_left_out(tmp_path):
  source = text_lines(write(tmp_path / "a.txt", "abc\nabb\nccc\n"), 3, splits=(2, 0, 0), max_bytes=10)
  assert records(source, "train") == ["abc", "abb"]


def test_fingerprint_tells_lines_apart(tmp_path):
  one = text_lines(write(tmp_path / "a.txt", "ab\na\nb"), 2, splits=(3, 0, 0))
  other = text_lines(write(tmp_path / "b.txt", "a\nba\nb"), 2, splits=(3, 0, 0))
  assert one.fingerprint != other.fingerprint

"""What is handed in to the methods of a run: one example is one in each of them, and another kind is a line."""

import json
from collections.abc import Mapping

import jax
import numpy as np
import pytest

import catgen
from catgen.interfaces import InputError, SampleOptions
from catgen.orders import stated
from catgen.runs.argument_types import checked, texts, whole_numbers
from catgen.runs.compared_law import check_same, law_of
from catgen.runs.handed_in import several
from catgen.runs.sample import sample_options
from tests.media.test_media import EVENTS, MEMBERS
from tests.media.test_tables import MEDIA as TABLES
from tests.tiny_run import quiet

ROW = {"name, first": "x", "b": 1.5, "c": 3}


class Column:
  """What a column of a data frame has, as far as it is asked for."""

  def __init__(self, values):
    self.values, self.shape = values, values.shape

  def __len__(self):
    return len(self.values)

  def __array__(self, dtype=None, copy=None):
    return self.values


class Frame(Column):
  columns = ("a",)


@pytest.mark.parametrize("name", MEMBERS)
def test_one_example_is_one(name):
  shape, _ = EVENTS[name]
  one, media = np.zeros(shape, np.int64), MEMBERS[name]
  several_of = np.stack([one, one])
  of_jax = jax.device_put(several_of)
  for given, number in ((one, 1), (several_of, 2), ([one, one], 2), (several_of.astype(bool), 2), (of_jax, 2)):
    assert len(media.typed(several(media, shape, given)).x) == number
  if media.parse is None:
    assert len(media.typed(several(media, shape, one.tolist())).x) == 1
    with pytest.raises(InputError, match=r"'a\.npy' is a text, and this model is of arrays"):
      several(media, shape, "a.npy")
  else:
    assert several(media, shape, "ab a") == ["ab a"]
    column = np.array(["ab a", "b"], object)
    for texts_of in (["ab a", "b"], np.array(["ab a", "b"]), column, Column(column)):
      assert several(media, shape, texts_of) == ["ab a", "b"]
    with pytest.raises(InputError, match=r"are a data frame, and this model is of text; give one column"):
      several(media, shape, Frame(column[:, None]))
    assert media.typed(several(media, shape, one[:2])).valid.tolist() == [[True, True, False, False, False, False]]
  for odd, message in (
    (5, "are 5; give a list"),
    (np.array(5), "give a list"),
    ([], "nothing to score"),
    ({"a": 1}, "are a dict"),
  ):
    with pytest.raises(InputError, match=message) as caught:
      several(media, shape, odd)
    assert "\n" not in str(caught.value)


def test_a_row_by_itself_is_one_and_a_text_is_no_file():
  for given in (ROW, [ROW], np.array([0, 0, 0]), {name: [cell] for name, cell in ROW.items()}):
    np.testing.assert_array_equal(TABLES.typed(several(TABLES, (3,), given)).x, [[0, 0, 0]])
  with pytest.raises(InputError, match=r"'rows\.csv' is a text, and this model is of rows; name a file by input="):
    several(TABLES, (3,), "rows.csv")


@pytest.mark.parametrize("name", ["sequences", "maps", "solids"])
def test_holes_of_an_array_do_not_count_as_in_a_file(name, tmp_path):
  media, (shape, num_classes) = MEMBERS[name], EVENTS[name]
  x = np.random.default_rng(0).integers(-1, num_classes, (3, *shape))
  np.save(tmp_path / "x.npy", x)
  typed, read = media.typed(x), media.read(str(tmp_path / "x.npy"))
  np.testing.assert_array_equal(typed.valid, x >= 0)
  np.testing.assert_array_equal(typed.valid, read.valid)
  np.testing.assert_array_equal(typed.x, read.x)
  with pytest.raises(InputError, match="number 1, has no category at all"):
    media.typed(np.stack([x[0], np.full(shape, -1)]))


@pytest.mark.parametrize("media", [*MEMBERS.values(), TABLES], ids=[*MEMBERS, "tables"])
def test_values_behind_a_mask_are_never_read(media):
  shape = (
    (3,) if media is TABLES else (6,) if media.parse else next(EVENTS[n][0] for n in EVENTS if MEMBERS[n] is media)
  )
  x = np.zeros((2, *shape), int)
  hidden = np.ma.array(x, mask=np.arange(x.size).reshape(x.shape) % 2)
  for given in (hidden, list(hidden)):
    with pytest.raises(InputError, match=r"has a mask, which would be lost; give array\.filled") as caught:
      media.typed(given)
    assert "\n" not in str(caught.value)
  np.testing.assert_array_equal(media.typed(np.ma.array(x)).x, media.typed(x).x)


@pytest.mark.parametrize("media", [*MEMBERS.values(), TABLES], ids=[*MEMBERS, "tables"])
def test_a_number_of_64_bits_is_named_as_it_is(media):
  shape = (
    (3,) if media is TABLES else (6,) if media.parse else {id(MEMBERS[n]): EVENTS[n][0] for n in EVENTS}[id(media)]
  )
  with pytest.raises(InputError, match="holds 9223372036854775808, which has more than 63 bits"):
    media.typed([np.full(shape, 2**63, np.uint64)])


def test_a_text_by_itself_has_one_score(text_run, here):
  run, line = here(text_run), "the cat sat on a"
  found = run.score(line, reference=0, say=quiet)
  np.testing.assert_array_equal(found.nats, run.score([line], reference=0, say=quiet).nats)
  assert found.nats.shape[1] == 1


@pytest.mark.parametrize("rate", [-1, 2, float("nan"), 1, 1.0, np.float32(1)])
def test_an_error_rate_that_tells_nothing_is_refused(text_run, rate):
  with pytest.raises(InputError, match=r"the error rate is .*; it must lie in"):
    text_run.denoise("the cat sat on a", error_rate=rate)


def test_a_table_forbids_no_category_by_number_either():
  for forbid in ([0], (0, 1), np.array([1]), "0"):
    with pytest.raises(InputError, match="each column of a table has categories of its own"):
      sample_options({"sampling": {}}, TABLES, forbid=forbid)
  assert sample_options({"sampling": {}}, TABLES, forbid=[]).forbid == ()
  assert sample_options({"sampling": {}}, MEMBERS["maps"], forbid=np.array([1])).forbid == (1,)


@pytest.mark.parametrize(
  ("call", "message"),
  [
    (lambda run: catgen.fit(5, "unused"), "data are 5; give a list of strings"),
    (lambda run: catgen.fit(None, "unused"), "data are None; give a list of strings"),
    (lambda run: catgen.fit(["a"], None), "workdir is None; give a path"),
    (lambda run: catgen.fit(["a"], "unused", minutes="5"), "minutes is '5'; give a number"),
    (lambda run: run.sample(2.5), "num_samples is 2.5; give a whole number"),
    (lambda run: run.sample("3"), "num_samples is '3'; give a whole number"),
    (lambda run: run.sample(True), "num_samples is True; give a whole number"),
    (lambda run: run.sample(1, temperature="0"), "temperature is '0'; give a number"),
    (lambda run: run.sample(1, top_k=1.5), "top_k is 1.5; give a whole number"),
    (lambda run: run.sample(1, forbid=[1.5]), "forbid has 1.5; give whole numbers"),
    (lambda run: run.sample(1, seed=jax.random.key(0)), "seed is Array.*; give a whole number"),
    (
      lambda run: run.decode(([1], [2, 3])),
      r"decode takes the integers of one example, \[16\], not \(\[1\], \[2, 3\]\)",
    ),
    (lambda run: run.infill(["a p_t"], num_samples=1), r"example is \['a p_t'\]; give a text with holes"),
    (lambda run: run.sample(1, given=5), "given is 5; give a list of texts"),
    (lambda run: run.denoise("a", error_rate="x"), "error_rate is 'x'; give a number"),
    (lambda run: catgen.load(None), "workdir is None; give a path"),
    (lambda run: catgen.baselines("text_file"), "config.data.path is not set"),
    (lambda run: catgen.check(5), "5 is no configuration; give a name such as 'quickstart'"),
    (lambda run: catgen.compare(workdirs="runs/a"), "there is no folder 'runs/a'"),
    (lambda run: catgen.compare(workdirs=5), "workdirs is 5; give a list of texts"),
    (lambda run: catgen.train(None, "unused"), "None is no configuration; give a name"),
  ],
)
def test_values_of_another_kind_are_a_line(call, message, text_run):
  with pytest.raises(InputError, match=message) as caught:
    call(text_run)
  assert "\n" not in str(caught.value)


def test_numbers_of_numpy_are_numbers_and_a_text_is_one():
  @checked
  def function(a: int, *, b: float | None = None, c: bool = False, d: Mapping[str, int] | None = None):
    return a, b, c

  found = function(np.int64(3), b=np.float32(2), c=np.True_)
  assert [(type(each), each) for each in found] == [(int, 3), (float, 2.0), (bool, True)]
  with pytest.raises(InputError, match=r"^d is \{3: 4\}; give a dict whose keys are texts$"):
    function(1, d={3: 4})
  assert function(1, b=2) == (1, 2, False)
  assert texts("ab", "names") == ["ab"]
  assert whole_numbers(5, "forbid") == (5,)
  with pytest.raises(TypeError, match="unexpected"):
    function(1, e=2)


LAW = SampleOptions(order="blocks", blocks=(5, 5, 6))


def evaluations(folder, *laws):
  records = [{"split": "test", **stated(law)} for law in laws]
  (folder / "results.json").write_text(json.dumps(records))
  return str(folder)


def test_a_number_of_calls_finds_the_blocks_of_its_evaluation(text_run, tmp_path):
  def law(folder, num_calls=3, **options):
    return law_of(folder, text_run.record, "test", num_calls, {"order": "blocks", **options})

  folder = evaluations(
    tmp_path, LAW, LAW, LAW._replace(blocks=(8, 8)), LAW._replace(temperature=0.5, blocks=(1, 1, 14))
  )
  assert law(folder) == LAW
  assert law(folder, 2).blocks == (8, 8)
  assert law(folder, temperature=0.5).blocks == (1, 1, 14)
  with pytest.raises(InputError, match="no evaluation of the split 'test' by the order blocks in 4 calls"):
    law(folder, 4)
  with pytest.raises(InputError, match="num_calls is of the order 'blocks' without --blocks"):
    law(folder, blocks=(8, 8))
  with pytest.raises(InputError, match="several blocks in 3 calls, 2,2,12 and 5,5,6; choose by --blocks=2,2,12"):
    law(evaluations(tmp_path, LAW, LAW._replace(blocks=(2, 2, 12))))
  with pytest.raises(InputError, match="different blocks, 5,5,6 and 2,2,12, each by its own loss curve"):
    check_same({"a": LAW, "b": LAW._replace(blocks=(2, 2, 12))})


def test_forbidden_characters_are_named_as_for_an_evaluation(text_run):
  law = law_of("unused", text_run.record, "test", None, {"forbid": "a", "order": "margin"})
  assert law.forbid == text_run.media.named("a")
  with pytest.raises(InputError, match="character '😀'"):
    law_of("unused", text_run.record, "test", None, {"forbid": "😀"})

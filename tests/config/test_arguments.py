"""From signatures to arguments."""

import doctest
from collections.abc import Sequence
from typing import Literal

import pytest

from catgen.config import arguments
from catgen.config.arguments import Argument, arguments_of, converted, help_text, split_overrides
from catgen.interfaces import InputError


def bake(
  flour,
  grams=500,
  *,
  minutes: int = 30,
  heat: float | None = None,
  name: str = "bread",
  kind: Literal["rye", "wheat"] | None = None,
  fan: bool = True,
  step: str | int = "best",
  sizes: tuple[int, ...] = (1, 2),
  seeds: Sequence[str] = (),
  say=print,
):
  """Bakes.

  Args:
    flour: of a mill.
    grams: of it.
    minutes: in the
      oven.
    kind: of flour: one of two.
    fan: on.
    sizes: of the loaves.

  Raises:
    InputError: burnt.
  """


def test_examples_of_the_documentation():
  found = doctest.testmod(arguments, extraglobs={"Literal": Literal})
  assert (found.failed, found.attempted > 3) == (0, True)


def test_arguments_have_types_defaults_and_meanings():
  assert arguments_of(bake, leave_out=("say",)) == [
    Argument("minutes", "int", 30, "in the oven"),
    Argument("heat", "float", None, ""),
    Argument("name", "str", "bread", ""),
    Argument("kind", "str", None, "of flour: one of two", ("rye", "wheat")),
    Argument("fan", "bool", True, "on"),
    Argument("step", "str", "best", ""),
    Argument("sizes", "list", (1, 2), "of the loaves", (), int),
    Argument("seeds", "repeated", (), ""),
  ]


def test_what_no_command_line_can_give_is_refused():
  def serve(*, table: dict):
    """Serves."""

  with pytest.raises(TypeError, match=r"parameter table is .*make it positional"):
    arguments_of(serve)


def test_items_of_lists_are_converted():
  sizes = Argument("sizes", "list", (), "", (), int)
  assert converted(sizes, ["3", "4"]) == (3, 4)
  assert converted(sizes, None) is None
  assert converted(Argument("name", "str", None, ""), "x") == "x"
  with pytest.raises(InputError, match="--sizes=3,x must be whole numbers separated by commas"):
    converted(sizes, ["3", "x"])


def test_overrides_are_set_apart():
  words = ["--config=x", "--config.a.b=1=2", "--seed=3", "--config.c", "4"]
  assert split_overrides(words, "config") == (["--config=x", "--seed=3"], {"a.b": "1=2", "c": "4"})
  for words in (["--config.a"], ["--config.a", "--seed=3"]):
    with pytest.raises(InputError, match=r"--config\.a has no value; write --config\.a=\.\.\."):
      split_overrides(words, "config")


def test_help_names_flags_values_and_defaults():
  shown = help_text("Bakes.", arguments_of(bake, leave_out=("say",)))
  for line in (
    "  --minutes=N\n      in the oven (default: 30)",
    "  --kind=<rye|wheat>\n      of flour: one of two",
    "  --[no]fan\n      on (default: true)",
    "  --sizes=N,N,...\n      of the loaves (default: 1,2)",
    "  --seeds=TEXT",
  ):
    assert line in shown


@pytest.mark.parametrize("value", ["", "a b", "x=y=z", "-1", "~/é.txt", "a,b", "'q'"])
@pytest.mark.parametrize("apart", [False, True])
def test_a_value_of_an_override_is_passed_on_as_it_is(value, apart):
  words = ["--config.a.b", value] if apart else [f"--config.a.b={value}"]
  assert split_overrides(["--seed=1", *words, "--x"], "config") == (["--seed=1", "--x"], {"a.b": value})


def test_the_last_of_equal_overrides_counts_and_other_flags_of_a_like_name_stay():
  words = ["--config.a=1", "--configs.a=3", "--config_b=4", "--config.a=2", "-config.a=5"]
  assert split_overrides(words, "config") == (["--configs.a=3", "--config_b=4", "-config.a=5"], {"a": "2"})


@pytest.mark.parametrize("item", [int, float, str])
def test_a_list_keeps_its_order_and_its_type(item):
  given = [str(item(each)) for each in (3, 1, 2, 2)]
  assert converted(Argument("sizes", "list", (), "", (), item), given) == tuple(map(item, (3, 1, 2, 2)))
  assert converted(Argument("sizes", "list", (), "", (), item), []) == ()


@pytest.mark.parametrize("given", [["3", ""], ["1.5"], [" "], ["1e3"]])
def test_an_item_that_is_no_whole_number_is_named_with_its_flag(given):
  with pytest.raises(InputError, match=r"^--sizes=.* must be whole numbers separated by commas$") as caught:
    converted(Argument("sizes", "list", (), "", (), int), given)
  assert f"--sizes={','.join(given)} must" in str(caught.value)


def test_help_wraps_long_meanings_and_loses_no_word():
  meaning = " ".join(f"word{i}" for i in range(200))
  lines = help_text("Bakes.", [Argument("name", "str", None, meaning)]).splitlines()
  assert all(len(line) <= 100 for line in lines)
  assert " ".join(lines[4:]).split() == meaning.split()


def test_flags_that_most_never_need_come_last_and_others_are_named_as_flags():
  given = [
    Argument("host", "str", None, "of the first"),
    Argument("hole", "str", "_", ""),
    Argument("text", "str", None, "`hole` or `x`"),
  ]
  lines = help_text("Fills.", given, {"several machines": ["host", "port"], "nothing": ["other"]}).splitlines()
  assert lines.index("flags:") < lines.index("  --text=TEXT") < lines.index("several machines:")
  assert lines[-2:] == ["  --host=TEXT", "      of the first"]
  assert "      --hole or `x`" in lines
  assert "nothing:" not in lines


def test_a_flag_without_a_default_is_said_to_be_required():
  def bake(*, kind: str) -> None:
    """Bakes.

    Args:
      kind: of flour.
    """

  (found,) = arguments_of(bake)
  assert (found.help, found.default) == ("of flour (required)", None)

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
    Argument("sizes", "list", (1, 2), "", (), int),
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
    "  --sizes=N,N,...",
    "  --seeds=TEXT",
  ):
    assert line in shown

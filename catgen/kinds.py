"""Kinds: factories by name, with the keys that a configuration may set and the parts that it may choose.

A factory's positional parameters are what code supplies (the event, numbers of channels). Its keyword-only parameters,
`rngs` aside, are the keys of a section of a configuration: their defaults stand there and nowhere else. A factory
without keyword-only parameters, such as a data set, is supplied with nothing: all its parameters are keys, unless they
are positional-only. A parameter that the kind lists in `parts` takes a `Recipe` of a kind of another registry: that is
a section within the section. A part that is a kind by itself, such as the settings of training, leaves no choice.

  network = TRUNKS["transformer"](width=128, num_layers=4)       # a recipe: sizes, checked, and nothing built
  model = diffusion(EventSpec((64,), 27), network=network)       # the family builds it, with the shapes that it knows
"""

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from catgen.interfaces import InputError


@dataclass(frozen=True)
class Recipe:
  """A factory with the values of its keys. Calling it, with what only code knows, builds the thing."""

  make: Callable[..., Any]
  keywords: dict[str, Any]

  def __call__(self, *arguments: Any, **keywords: Any) -> Any:
    """Returns what the factory makes of these and the recipe's own. Raises InputError where it does not take them."""
    check_call(self.make, name_of(self.make), *arguments, **{**self.keywords, **keywords})
    return self.make(*arguments, **{**self.keywords, **keywords})


class Kind(NamedTuple):
  """An entry of a registry."""

  make: Callable[..., Any]
  parts: Mapping[str, "Part"] = {}  # keyword -> the registry, or the one kind, of its recipes
  small: Mapping[str, Any] = {}  # sizes for proofs on tiny spaces, where the configuration's are larger
  known: Callable[..., Any] | None = None  # (**all keys) -> what they say of the thing without making it, or None

  def __call__(self, **keywords: Any) -> Recipe:
    """Returns a recipe. Raises InputError for a keyword that the factory does not have, naming the nearest."""
    known = keys(self.make)
    for key in keywords:
      if key not in known:
        raise InputError(f"{name_of(self.make)} has no key {key!r}; {nearest(key, known)}")
    return Recipe(self.make, keywords)


class Kinds(dict[str, Kind]):
  """The entries of a registry: `Kinds() | {name: Kind(...)}`. InputError for a name that is none, with the nearest,
  and for an entry of a user's own that is no `Kind` or has the name of another module's."""

  def __or__(self, other: Mapping[str, Kind]) -> "Kinds":  # type: ignore[override]
    return Kinds({**self, **other})

  def __setitem__(self, name: str, kind: Kind) -> None:
    if not isinstance(kind, Kind) or not callable(kind.make):
      raise InputError(
        f"the entry {name!r} of a registry is {kind!r:.60}; it must be Kind(...) of a class or a function"
      )
    if name in self and getattr(self[name].make, "__module__", "") != getattr(kind.make, "__module__", ""):
      raise InputError(f"the registry has a kind {name!r} of {self[name].make.__module__}; give yours another name")
    super().__setitem__(name, kind)

  def __missing__(self, name: str) -> Kind:
    raise InputError(f"there is no kind {name!r}; {nearest(str(name), self)}")


Registry = Mapping[str, Kind]
Part = Registry | Kind


def keys(make: Callable[..., Any]) -> dict[str, inspect.Parameter]:
  """Returns the parameters of a factory that a configuration may set: the keyword-only ones, or where none are, all.

  Positional-only parameters are never among them.
  """
  # The metaclass of Flax modules hides the signature of their constructor.
  constructor: Any = make
  parameters = _parameters(constructor.__init__ if isinstance(make, type) else make)
  only = {name: each for name, each in parameters.items() if each.kind is inspect.Parameter.KEYWORD_ONLY}
  free = only or {name: each for name, each in parameters.items() if each.kind is not each.POSITIONAL_ONLY}
  return {name: each for name, each in free.items() if name not in ("self", "rngs")}


def _parameters(make: Any) -> Mapping[str, inspect.Parameter]:
  """Returns the parameters of a function, their types evaluated where its module leaves them as texts."""
  try:
    return inspect.signature(make, eval_str=True).parameters
  except NameError:  # of a type that is imported for type checkers alone
    return inspect.signature(make).parameters


def check_call(function: Callable[..., Any], name: str, *arguments: Any, **keywords: Any) -> None:
  """Raises InputError where a function or a class, perhaps of a user's own, does not take some arguments."""
  constructor: Any = function
  of_class = isinstance(function, type)
  try:
    signature = inspect.signature(constructor.__init__ if of_class else function)
    signature.bind(*((None,) if of_class else ()), *arguments, **keywords)
  except TypeError as error:
    given = ", ".join([*["..."] * len(arguments), *(f"{each}=..." for each in keywords)])
    raise InputError(f"{name} is called as {name}({given}), and its signature is another: {error}") from error


def takes(make: Callable[..., Any], name: str) -> bool:
  """Returns whether code supplies a factory, or that of a recipe, with a positional parameter of this name."""
  make = make.make if isinstance(make, Recipe) else make
  parameters = inspect.signature(make).parameters
  return name in parameters and parameters[name].kind is not inspect.Parameter.KEYWORD_ONLY


def name_of(make: Callable[..., Any]) -> str:
  """Returns how a factory is called in messages."""
  return getattr(make, "__name__", type(make).__name__)


def nearest(word: str, known: Mapping[str, Any]) -> str:
  """Returns advice for a word that is not among the known ones: the nearest, or all.

  Example:
    >>> nearest("cosin", {"cosine": 1, "linear": 2})
    "did you mean 'cosine'?"
    >>> nearest("zzz", {"cosine": 1, "linear": 2})
    'choose one of cosine, linear'
  """
  close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
  return f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(known)}"

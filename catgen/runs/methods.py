"""Functions as Python meets them: methods of a run made of functions of `catgen.runs`, and messages in Python's words.

A method has the signature, the options' meanings and the errors of its function, less what the run knows, so that the
two cannot differ; but after a signal (Ctrl-C) it raises `Stopped`, a KeyboardInterrupt that has what was found by then.
The functions speak of flags, `--split=test`, for most who read their messages type commands; here the same line speaks
of the argument, `split="test"`.
"""

import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MethodType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from catgen.interfaces import InputError
from catgen.kinds import nearest
from catgen.runs.argument_types import checked
from catgen.training.signals import Stopped

if TYPE_CHECKING:
  from catgen.runs.load import Run

P = ParamSpec("P")
Result = TypeVar("Result", covariant=True)
_FLAG = r"--[a-z][a-z_]*(?:\.[a-z_.]+)?(?:=(?:\"[^\"]*\"|'[^']*'|\.\.\.|[^\s;()]*[^\s;().,:'\"]))?"
_FLAGS = re.compile(rf"(?<![\w-]){_FLAG}(?: {_FLAG})*")
_LITERAL = re.compile(r"-?[0-9][0-9.e+-]*|True|False|None|\.\.\.|\".*\"|'.*'")


class Later:
  """A module of `catgen.runs` that is imported when a function of it is called: it takes a `Run`, which is not yet."""

  def __init__(self, module: str) -> None:
    self._module = module

  def __getattr__(self, name: str) -> Callable[[], Callable[..., Any]]:
    return lambda: getattr(importlib.import_module(f"catgen.runs.{self._module}"), name)


class Counting(Protocol[P, Result]):
  """A method whose number of results may also stand first, without its name."""

  def __call__(self, num_samples: int = 1, /, *arguments: P.args, **options: P.kwargs) -> Result:
    """See the function."""
    ...


class Method(Generic[P, Result]):
  """A method of `Run` that is made when it is first asked for: to import `Run` imports none of the functions."""

  def __init__(self, made: Callable[[], Callable[..., Any]]) -> None:
    self._made = functools.cache(made)

  @overload
  def __get__(self, run: None, owner: type) -> Callable[Concatenate["Run", P], Result]: ...
  @overload
  def __get__(self, run: "Run", owner: type) -> Callable[P, Result]: ...
  def __get__(self, run: "Run | None", owner: type) -> Any:
    return self._made() if run is None else MethodType(self._made(), run)


class CountingMethod(Method[P, Result]):
  """A method that is called with a number, or without."""

  if TYPE_CHECKING:

    @overload  # type: ignore[override]
    def __get__(self, run: None, owner: type) -> Callable[Concatenate["Run", int, P], Result]: ...
    @overload
    def __get__(self, run: "Run", owner: type) -> Counting[P, Result]: ...
    def __get__(self, run: "Run | None", owner: type) -> Any: ...


def method(
  function: Callable[Concatenate["Run", P], Result],
  rest: Callable[..., Any] | None = None,
  taken: tuple[str, ...] = (),
  **defaults: Any,
) -> Callable[[Callable[..., Any]], Method[P, Result]]:
  """Returns what makes a method of `Run` of a function, with the name and the first words of what it stands for.

  Args:
    function: of a module that comes `Later`; its first argument is the run.
    rest: another function to which it hands on all options that it does not have itself.
    taken: options of that function that this one sets.
    defaults: of options that have others in Python than on a command line.
  """
  others = (cast(Any, rest), taken)
  return lambda shell: Method(functools.partial(_made, cast(Any, function), shell, defaults, rest=others))


def counting_method(
  function: Callable[Concatenate["Run", P], Result], **defaults: Any
) -> Callable[[Callable[..., Any]], CountingMethod[P, Result]]:
  """Returns what `method` does, for a function with the option `num_samples`, which comes first here."""
  return lambda shell: CountingMethod(functools.partial(_made, cast(Any, function), shell, defaults, "num_samples"))


@functools.cache
def spoken(function: Callable[..., Any]) -> Callable[..., Any]:
  """Returns a function whose messages speak of arguments, and that says which option a misspelt one was meant for."""

  @functools.wraps(function)
  def call(*arguments: Any, **options: Any) -> Any:
    signature = inspect.signature(function)
    _check_options(function.__name__, signature, options)
    with in_words_of(signature):
      return function(*arguments, **_say_in_words(signature, options))

  return call


def _made(
  find: Callable[[], Callable[..., Any]],
  shell: Callable[..., Any],
  defaults: Mapping[str, Any],
  first: str = "",
  rest: tuple[Callable[[], Callable[..., Any]] | None, tuple[str, ...]] = (None, ()),
) -> Callable[..., Any]:
  """Returns the method: it looks its function up at every call, as a name in a module is."""
  signature = _signature(find(), defaults, first, *rest)

  def call(run: "Run", /, *arguments: Any, **options: Any) -> Any:
    _check_options(shell.__name__, signature, options)
    try:
      bound = signature.bind(run, *arguments, **options)
    except TypeError as error:
      raise InputError(f"{shell.__name__}: {error}; give options by name, seed=1") from error
    bound.apply_defaults()
    values = dict(bound.arguments)
    with in_words_of(signature):
      found = checked(find())(values.pop("self"), **_say_in_words(signature, values))
    if code := getattr(found, "heard", 0) or getattr(found, "exit_code", 0):
      raise Stopped(f"{shell.__name__} was stopped", code, found)
    return found

  call.__name__, call.__qualname__, call.__module__ = shell.__name__, shell.__qualname__, shell.__module__
  sections = in_words(_sections(inspect.getdoc(find()) or "", defaults), signature)
  call.__doc__ = f"{inspect.getdoc(shell)}\n\n{sections}".rstrip()
  call.__signature__ = signature  # type: ignore[attr-defined]
  return call


def _signature(
  function: Callable[..., Any],
  defaults: Mapping[str, Any],
  first: str,
  rest: Callable[[], Callable[..., Any]] | None,
  taken: tuple[str, ...],
) -> inspect.Signature:
  """Returns a function's signature as a method, with some defaults of its own and one option that may come first."""
  found = inspect.signature(function)
  run, *others = found.parameters.values()
  if rest is not None:
    own = {run.name, *found.parameters, *taken}
    others = [each for each in others if each.kind is not each.VAR_KEYWORD]
    others += [
      e for e in inspect.signature(rest()).parameters.values() if e.kind is e.KEYWORD_ONLY and e.name not in own
    ]
  others = [each.replace(default=defaults.get(each.name, each.default)) for each in others]
  leading = [each.replace(kind=each.POSITIONAL_OR_KEYWORD) for each in others if each.name == first]
  return found.replace(
    parameters=[run.replace(name="self", annotation=run.empty), *leading, *(e for e in others if e.name != first)]
  )


def _sections(docstring: str, defaults: Mapping[str, Any]) -> str:
  """Returns the sections of a function's docstring as those of a method: without the run, with its own defaults."""
  _, heading, sections = docstring.partition("Args:\n")
  sections = re.sub(r"^  run: .*\n(?:    .*\n)*", "", sections)
  for name, value in defaults.items():
    sections = re.sub(rf"^(  {name}: .*default: ).*$", rf"\g<1>{value}.", sections, flags=re.MULTILINE)
  return f"{heading}{sections}"


def _check_options(name: str, signature: inspect.Signature, options: Mapping[str, Any]) -> None:
  """Raises InputError for an option that there is not, with the one that was meant."""
  known = signature.parameters
  if any(each.kind is each.VAR_KEYWORD for each in known.values()):
    return
  for option in options:
    if option in known:
      continue
    if option in _of_load() and "self" in known:
      raise InputError(f"{name} has no option {option!r}, which is one of catgen.load: load the run with it")
    leading = [each.name for each in known.values() if each.kind is each.POSITIONAL_OR_KEYWORD]
    meant = [each for each in leading if each.startswith(option)]  # num: num_samples
    advice = f"did you mean {meant[0]!r}?" if meant else nearest(option, {each: 0 for each in known if each != "self"})
    raise InputError(f"{name} has no option {option!r}; {advice}")


@contextmanager
def in_words_of(signature: inspect.Signature) -> Iterator[None]:
  """Has mistakes that are told meanwhile speak of arguments of a signature, and not of flags."""
  try:
    yield
  except InputError as error:
    error.args = (in_words(str(error), signature), *error.args[1:])
    raise


def _say_in_words(signature: inspect.Signature, options: Mapping[str, Any]) -> dict[str, Any]:
  """Returns options whose `say`, where there is one, is handed lines that speak of arguments."""
  if "say" not in signature.parameters:
    return dict(options)
  say = options.get("say", signature.parameters["say"].default)
  if not callable(say):
    raise InputError(f"say is {say!r}; give a function of a line, such as print, or lambda line: None to hear nothing")
  return {**options, "say": lambda line: say(in_words(line, signature) if isinstance(line, str) else line)}


def in_words(text: str, signature: inspect.Signature) -> str:
  """Returns a line in which flags that are arguments of a signature, or of `catgen.load`, are written as those.

  Example:
    >>> def train(config, *, split=None, index=0, overrides=None): ...
    >>> in_words("give --split=test --index=3, or --config.data.path=a.txt; --step", inspect.signature(train))
    'give split="test", index=3, or overrides={"data.path": "a.txt"}; step of catgen.load'
  """
  return _FLAGS.sub(lambda found: _as_arguments(found[0], signature.parameters), text)


def _as_arguments(words: str, known: Mapping[str, Any]) -> str:
  return ", ".join(_as_argument(each, known) for each in re.findall(_FLAG, words))


def _as_argument(flag: str, known: Mapping[str, Any]) -> str:
  name, equals, value = flag.removeprefix("--").partition("=")
  first, dot, key = name.partition(".")
  if dot:
    told = f'{{"{key}": {_literal(value) if equals else "..."}}}'
    return f"overrides={told}" if first == "config" else flag
  if name not in known and name.startswith("no") and name[2:] in {**known, **_of_load()}:
    name, equals, value = name[2:], "=", "False"
  if name not in {**known, **_of_load(), **_elsewhere()}:
    return flag
  place = " of catgen.load" if name in _of_load() and name not in known else ""
  return f"{name}={_literal(value)}{place}" if equals else f"{name}{place}"


def _literal(value: str) -> str:
  value = value.capitalize() if value in ("true", "false") else value
  return value if _LITERAL.fullmatch(value) else f'"{value}"'


@functools.cache
def _of_load() -> Mapping[str, inspect.Parameter]:
  from catgen.runs.load import load  # whose Run has these methods

  return {name: each for name, each in inspect.signature(load).parameters.items() if name not in ("say", "workdir")}


@functools.cache
def _elsewhere() -> Mapping[str, Any]:
  """Returns what messages name besides: a work directory, and options of an evaluation."""
  from catgen.runs.evaluate import evaluate  # which takes a Run

  return {"workdir": None, **inspect.signature(evaluate).parameters}

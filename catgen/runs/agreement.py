"""What the processes of a command must have in common, compared before the work: what they were asked for, and read.

Processes that go on with something else from one another compute a mixture of both, and nobody notices; or wait for one
another for ever.
"""

import hashlib
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax

from catgen import __version__
from catgen.config import flat
from catgen.files import from_json, is_stream, read_bytes
from catgen.interfaces import InputError
from catgen.paths import expanded, is_file, join, parent_of, sizes_below
from catgen.runs.record import RunRecord
from catgen.training import distributed

Found = TypeVar("Found")
Facts = Mapping[str, Any]  # what must be the same, by the words before it: {"config.seed=": 0, "catgen ": "0.1.0"}

# Where things lie may differ between hosts; what lies there is compared. The first process alone has trackers, and how
# many batches are prepared ahead is a matter of a host's memory.
_OWN_DATA = ("path", "data_dir", "mapping", "schema", "tokenizer", "split_rule")
_OWN_KEYS = frozenset(("training.prefetch", *(f"data.{name}" for name in _OWN_DATA)))
_OWN_FLAGS = ("config", "data", "workdir", "profile")
_FILES, _PLACES = ("input", "mask"), ("output", "init_from", "workdirs", "beside")
_SHOWN_KEYS, _SHOWN_CHARACTERS, _DIGITS = 2, 60, 12


def agreed(find: Callable[[], Found], facts: Callable[[Found], Facts]) -> Found:
  """Returns what this process finds, once all have found the same. All call it; of one process it only finds.

  Where all agree it costs one small exchange.

  Args:
    find: () -> what is found.
    facts: gives what of it must be the same, as JSON values.

  Raises:
    InputError: on all processes, and the same: `find` raised it on one of them, or they have found different things.
  """
  if jax.process_count() == 1:
    return find()
  found: list[Found] = []
  refusal: InputError | None = None
  told: dict[str, Any]
  try:
    found.append(find())
    told = {"facts": dict(facts(found[0]))}
  except InputError as error:
    refusal, told = error, {"refused": str(error)}
  everywhere = [from_json(each) for each in distributed.all_tell(json.dumps(told))]
  if refusal is not None and all(each == told for each in everywhere):
    raise refusal
  refused = next((number for number, each in enumerate(everywhere) if "refused" in each), None)
  if refused is not None:
    host = distributed.all_tell(socket.gethostname())[refused]
    raise InputError(f"process {refused} on {host}: {everywhere[refused]['refused']}") from refusal
  if difference := difference_of([each["facts"] for each in everywhere]):
    raise InputError(difference)
  return found[0]


def difference_of(facts: Sequence[Facts]) -> str | None:
  """Returns what the first process that has not found what process 0 has does otherwise; None where none does.

  Args:
    facts: of each process.

  Example:
    >>> difference_of([{"config.seed=": 0}, {"config.seed=": 0}, {"config.seed=": 1}])
    'process 2 has config.seed=1, process 0 has 0; give all processes the same'
  """
  first = facts[0]
  for number, other in enumerate(facts):
    names = [name for name in {**first, **other} if first.get(name) != other.get(name)]
    if not names:
      continue
    shown, more = names[:_SHOWN_KEYS], len(names) - _SHOWN_KEYS
    here = " and ".join(f"{name}{_shown(other.get(name))}" for name in shown)
    there = " and ".join(_shown(first.get(name)) for name in shown)
    rest = f" (and {more} more {'differs' if more == 1 else 'differ'})" if more > 0 else ""
    return f"process {number} has {here}, process 0 has {there}{rest}; give all processes the same"
  return None


def of_command(name: str, values: Mapping[str, Any], own: Sequence[str], config: Mapping[str, Any] | None) -> Facts:
  """Returns what the processes of a command must share before it begins: the code, the flags, the configuration.

  Args:
    name: of the command's function.
    values: of its flags.
    own: the flags that each process has for itself, such as its number.
    config: resolved; None where the command takes none.
  """
  facts: dict[str, Any] = {"catgen ": f"{__version__} (source {_source()})", "JAX ": jax.__version__}
  facts["the command "] = name
  for flag, value in values.items():
    if flag in own or flag in _OWN_FLAGS:
      continue
    if flag in _FILES:
      value = _content(value)
    elif flag in _PLACES:
      value = None if not value else "PATH" if isinstance(value, str) else f"{len(value)} paths"
    facts[f"--{flag}="] = list(value) if isinstance(value, tuple) else value
  return facts | ({} if config is None else _of_config(config))


def of_record(record: RunRecord) -> Facts:
  """Returns what must be the same in the record of a run that several processes make, or read."""
  codec = json.dumps(record.codec.spec, sort_keys=True).encode()
  event = json.loads(json.dumps(record.event._asdict()))
  data = {"data with the SHA-256 ": record.fingerprint[:_DIGITS], "a codec with the SHA-256 ": _digest(codec)}
  return {**_of_config(record.config), **data, **{f"examples with {name}=": value for name, value in event.items()}}


def _of_config(config: Mapping[str, Any]) -> dict[str, Any]:
  shared = {
    key: value for key, value in flat(config).items() if key not in _OWN_KEYS and not key.startswith("tracking")
  }
  return {f"config.{key}=": value for key, value in json.loads(json.dumps(shared)).items()}


def _source() -> str:
  """Returns a digest of the code of this package: versions are the same for long, and hosts may have copies."""
  folder, digest = parent_of(parent_of(__file__)), hashlib.sha256()
  for name in sorted(each for each in sizes_below(folder) if each.endswith(".py")):
    digest.update(name.encode() + read_bytes(join(folder, name)))
  return digest.hexdigest()[:_DIGITS]


def _content(path: str | None) -> str | None:
  """Returns what tells a file that a command reads from others: its content where it can be read twice."""
  if not path:
    return None
  place = expanded(path)
  if is_stream(place) or not is_file(place):  # the command says what is wrong with it
    return "PATH"
  try:
    return f"a file with the SHA-256 {_digest(read_bytes(place))}"
  except OSError:
    return "PATH"


def _digest(content: bytes) -> str:
  return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _shown(value: Any) -> str:
  text = "none" if value is None else str(value)
  return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."

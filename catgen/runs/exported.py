"""Exported models: folders that say all that is needed to use a model, in the format of docs/MODELS.md, read back.

They are taken wherever the work directory of a trained run is. Those that are part of the package are called
pretrained/NAME.
"""

import difflib
import hashlib
import importlib.resources
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from catgen.evaluation.results import read_results
from catgen.files import from_json, read_bytes
from catgen.interfaces import InputError, PyTree
from catgen.paths import Path, absolute, exists, expanded, join, name_of, names_in, normal
from catgen.runs import schema
from catgen.runs.tensors import unpacked
from catgen.training import folders
from catgen.training.restoring import Gone, Restored, Unreadable, Wanted, restore_params

FORMAT = 1  # of the folder
MODEL, SUMS = "model.safetensors", "SHA256SUMS"
PRETRAINED = "pretrained"
_AGAIN = "get the whole folder again"


def shipped() -> dict[str, str]:
  """Returns the folders of the models that are part of the package, by their names."""
  folder = str(importlib.resources.files("catgen") / PRETRAINED)
  return {name: join(folder, name) for name in sorted(names_in(folder)) if exists(join(folder, name, MODEL))}


def located(workdir: Path) -> str:
  """Returns the folder that a user means: pretrained/NAME is a model of the package unless it is a folder here.

  Raises:
    InputError: there is no model of that name.
  """
  place = normal(expanded(workdir))
  first, _, name = place.partition("/")
  if first != PRETRAINED or "/" in name or exists(place):
    return place
  models = shipped()
  if name in models:
    return models[name]
  near = difflib.get_close_matches(name, models, n=3, cutoff=0.3)
  listed = ", ".join(f"{PRETRAINED}/{each}" for each in dict.fromkeys([*near, *models]))  # each once, the nearest first
  there = f"there are {listed}" if listed else "this package holds none"
  raise InputError(f"there is no model {place}; {there}")


def is_exported(folder: Path) -> bool:
  """Returns whether a folder holds an exported model, or what is left of one."""
  return exists(join(folder, MODEL)) or exists(join(folder, SUMS))


def check_trainable(workdir: str) -> None:
  """Raises InputError where checkpoints cannot lie in a folder of such a name, it has none, or it holds an exported
  model, which has no optimizer to go on with."""
  if not workdir:
    raise InputError("workdir is empty; give the folder of the run")
  folders.check(absolute(workdir))
  if is_exported(workdir):
    raise InputError(
      f"{workdir} holds an exported model, which is not trained on; train in another --workdir, from its parameters by "
      f"--init_from={workdir}"
    )


def written_in(workdir: str) -> str:
  """Returns where what is made of a run is written: its work directory; of an exported model a folder below this one.

  That is outputs/NAME-DIGEST, for the folder of the model may be the package's or somebody else's, and the scores of
  two models must not lie in one place.
  """
  if not is_exported(workdir):
    return workdir
  digest = hashlib.sha256(_read(workdir, SUMS)).hexdigest()
  return join("outputs", f"{name_of(absolute(workdir))}-{digest[:8]}")


def evaluations(folder: str) -> list[dict[str, Any]]:
  """Returns the records of a run's evaluations; of an exported model those that it brought, then those made here.

  Raises:
    InputError: they cannot be read.
  """
  places = dict.fromkeys((folder, written_in(folder)))
  return [record for place in places for record in read_results(place)]


def sealed(contents: Mapping[str, bytes]) -> bytes:
  """Returns the file of checksums, as `sha256sum --check` reads it, of files by their names."""
  return "".join(f"{_digest(content)}  {name}\n" for name, content in sorted(contents.items())).encode()


def verify(folder: str, names: Sequence[str] = ()) -> dict[str, bytes]:
  """Returns the contents of the files of an exported model, once it is known that they are those that were written.

  Args:
    folder: of the model.
    names: of files; default: all. Others that lie beside them are not looked at.

  Raises:
    InputError: one is missing, or another; or the format is not known.
  """
  sums, contents = sums_of(folder), {}
  for name in names or dict.fromkeys((schema.FILE_NAME, MODEL, *sums)):
    content, wanted = _read(folder, name), sums.get(name)
    if wanted is None:
      raise InputError(f"{join(folder, SUMS)} does not name {name}; {_AGAIN}")
    if (found := _digest(content)) != wanted:
      raise InputError(
        f"{join(folder, name)} is not what was exported: it has {len(content):,} bytes with the SHA-256 "
        f"{found[:12]}..., {SUMS} says {wanted[:12]}...; {_AGAIN}"
      )
    if name == schema.FILE_NAME:
      _check_format(folder, content)
    contents[name] = content
  return contents


def restored(
  workdir: str,
  step: str | int = "latest",
  *,
  wanted: Wanted = "all",
  layout: Callable[[PyTree], PyTree] = lambda item: item,
  say: Callable[[str], None] = print,
) -> Restored:
  """Returns the model of a checkpoint, or the one of a folder that was exported; see `restore_params`.

  Raises:
    Gone: there is no such checkpoint, or these are not the parameters that were exported.
    Unreadable: it cannot be read.
  """
  if not is_exported(workdir):
    return restore_params(workdir, step, wanted=wanted, layout=layout, say=say)
  content = verify(workdir)[MODEL]
  about = schema.read_content(workdir)["exported"]
  if about is None:
    raise Unreadable(f"{join(workdir, schema.FILE_NAME)} is of no exported model; {_AGAIN}")
  if step not in ("best", "latest", about.step):
    raise Gone(f"{workdir} holds the parameters of step {about.step}, not of {step}; leave --step out")
  if about.averaged and wanted == "params":
    raise Gone(f"{workdir} holds the moving average of the parameters alone; leave --noema out")
  try:
    item = unpacked(content)
  except InputError as error:
    raise Unreadable(f"{join(workdir, MODEL)} {error}; {_AGAIN}") from error
  if not isinstance(item.get("params"), dict) or not isinstance(item.get("model_state", {}), dict):
    raise Unreadable(f"{join(workdir, MODEL)} holds no parameters; {_AGAIN}")
  item = {"params": item["params"], "model_state": item.get("model_state", {}), "step": np.asarray(about.step)}
  targets = layout(jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), item))
  placed = jax.tree.map(_placed, item, targets)
  params, averaged = placed["params"], about.averaged
  return Restored(None if averaged else params, params if averaged else None, placed["model_state"], about.step)


def _placed(leaf: np.ndarray, target: jax.ShapeDtypeStruct) -> jax.Array:
  if target.sharding is None:
    return jax.device_put(leaf)
  return jax.make_array_from_callback(leaf.shape, target.sharding, lambda index: leaf[index])


def _check_format(folder: str, content: bytes) -> None:
  try:
    found = from_json(content)
    about = found["exported"]
    number, version = about["format"], about.get("catgen", "a newer version")
  except (ValueError, KeyError, TypeError, AttributeError) as error:
    raise InputError(f"{join(folder, schema.FILE_NAME)} is of no exported model; {_AGAIN}") from error
  if number != FORMAT:
    raise InputError(
      f"{folder} is an exported model of format {number}, and this version of catgen reads {FORMAT}: use catgen "
      f"{version}, which wrote it"
    )


def sums_of(folder: str) -> dict[str, str]:
  """Returns the SHA-256 of each file of an exported model. Raises InputError where they cannot be read."""
  content = _read(folder, SUMS)
  try:
    return dict(_lines(content.decode()))
  except ValueError as error:
    raise InputError(f"{join(folder, SUMS)} is no list of SHA-256 sums; {_AGAIN}") from error


def _lines(text: str) -> Iterator[tuple[str, str]]:
  for line in text.splitlines():
    found = re.fullmatch(r"([0-9a-f]{64})  ([^/]+)", line)
    if found is None:
      raise ValueError(line)
    yield found[2], found[1]


def _read(folder: str, name: str) -> bytes:
  path = join(folder, name)
  try:
    return read_bytes(path)
  except FileNotFoundError as error:
    raise InputError(f"{name} is missing from {folder}; {_AGAIN}") from error
  except OSError as error:
    raise InputError(f"cannot read {path}: {error.strerror or error}") from error


def _digest(content: bytes) -> str:
  return hashlib.sha256(content).hexdigest()

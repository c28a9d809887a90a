"""A trained model, ready for use."""

import functools
import json
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, SingleDeviceSharding
from jaxtyping import Bool, Int

from catgen.batches import take
from catgen.config import make_model
from catgen.evaluation.spelling import check_error_rate
from catgen.evaluation.spread import ALONE, Spread, fetch
from catgen.files import from_json
from catgen.interfaces import Denoised, EventSpec, HostOrDevice, InputError, Model, PyTree
from catgen.media import Media, media_of
from catgen.records import documented
from catgen.runs import agreement, exported, schema
from catgen.runs.argument_types import checked, shown, texts
from catgen.runs.experiment import spread_of
from catgen.runs.methods import Later, counting_method, method
from catgen.runs.naming import described
from catgen.runs.record import RunRecord, check_definition, read_record, source_of
from catgen.sources import DataSource
from catgen.training import sharding
from catgen.training.state import TrainState

if TYPE_CHECKING:
  from catgen.runs import classify as _classify
  from catgen.runs import correct as _correct
  from catgen.runs import evaluate as _evaluate
  from catgen.runs import infill as _infill
  from catgen.runs import plot as _plot
  from catgen.runs import sample as _sample
  from catgen.runs import score as _score
else:
  _classify, _correct, _evaluate, _infill, _plot, _sample, _score = map(
    Later, ("classify", "correct", "evaluate", "infill", "plot", "sample", "score")
  )


@documented
class Run(NamedTuple):
  """A trained model with all that is known of it: what `catgen.load` returns.

  Its methods are the functions of the modules of the same name in `catgen.runs`, with their options, results and
  errors; pictures and files are written only where they say so. They use all devices that the model was loaded for; of
  several processes all call them, all get the same, and the first writes.

  Args:
    model: its functions; `params` and `state` are their first arguments.
    params: nested dicts of arrays, which lie on the devices as in training.
    state: of the model besides its parameters; empty for most.
    record: the configuration, the codec, where the run comes from: what config.json holds.
    media: how examples are typed, shown, written and pictured.
    workdir: where what is made of it is written: of an exported model another folder than its own.
    step: of training, from which the parameters are.
    uses_ema: whether `params` are the moving average.
    source: loads the data set, once; nothing but evaluation and comparisons needs it.
    spread: the devices.
    folder: that it was read from.
  """

  model: Model
  params: PyTree
  state: PyTree
  record: RunRecord
  media: Media
  workdir: str
  step: int
  uses_ema: bool
  source: Callable[[], DataSource]
  spread: Spread = ALONE
  folder: str = ""

  def __repr__(self) -> str:
    return described(self)

  def __dir__(self) -> list[str]:
    return [name for name in object.__dir__(self) if name not in ("count", "index")]  # of tuples; nobody calls them

  def encode(self, example: Any) -> Int[np.ndarray, "*event"]:
    """Returns integers: [length] of a text, or [*event] of an array. Raises InputError outside the alphabet."""
    return self.record.codec.encode(example)

  def decode(self, x: Int[HostOrDevice, "*event"], valid: Bool[HostOrDevice, "*event"] | None = None) -> Any:
    """Returns the text, or the array, of one example.

    Args:
      x: its integers in [0, K), [*event]; of text also fewer: [length].
      valid: which positions are shown; default: all.

    Raises:
      InputError: it is no one example of integers in this range.
    """
    return self.record.codec.decode(_one_example(self.record.event, x), valid)

  @counting_method(_sample.sample, num_samples=1, pictures=False)
  def sample(self) -> None:
    """Returns samples, `.x` [num_samples, *event]."""

  @method(_score.score, reference=0)
  def score(self) -> None:
    """Returns bits of texts or arrays of your own: `.estimate` over all, `.nats` and `.bits` for each.

    With `reference` > 0 also where they stand among so many training examples.
    """

  @method(_classify.classify)
  def classify(self) -> None:
    """Returns which label examples have, `.probabilities` [examples, labels]."""

  @method(_evaluate.evaluate)
  def evaluate(self) -> None:
    """Returns the likelihood of a split, in bits, `.result["value"]`, shows it and adds it to results.json."""

  @method(_infill.infill, pictures=False)
  def infill(self) -> None:
    """Returns completions, `.x` [completions, *event], of a text or array with holes, of your own or of the data."""

  @method(_correct.correct, pictures=False)
  def correct(self) -> None:
    """Returns a text or array of your own (or one of the data, corrupted) corrected, `.x` [*event] or [length]."""

  @method(_plot.plot, _sample.sample, ("pictures", "chain"))
  def plot(self) -> None:
    """Returns the paths of the pictures that fit: loss in bits, samples, their way from noise."""

  @checked
  def denoise(self, example: Any, *, error_rate: float) -> Denoised:
    """Returns log-probabilities of the clean categories of one example of which a fraction `error_rate` is wrong.

    Raises InputError where the model has no denoiser, or error_rate is outside [0, 1 - 1/K), K being the number of
    categories, where what is seen still tells something.
    """
    if self.model.denoise is None:
      raise InputError(f"a model of kind {self.record.config['model']['kind']!r} has no denoiser")
    check_error_rate(float(error_rate), self.model.event.num_classes)
    batch = self.spread.put(take(self.media.typed([example]), self.spread.numbers(0, 1)))
    denoise = _denoiser(self.model, self.spread)
    found = fetch(denoise(self.params, batch.x, batch.valid, error_rate, state=self.state))
    return jax.tree.map(lambda v: v[0], found)


@functools.lru_cache(maxsize=4)
def _denoiser(model: Model, spread: Spread) -> Callable[..., Denoised]:
  """Returns `Model.denoise`, compiled, remembered."""
  assert model.denoise is not None
  return spread.compiled(model.denoise)


@checked
def load(
  workdir: str | os.PathLike[str],
  devices: Sequence[jax.Device] | None = None,
  *,
  step: str | int = "best",
  ema: bool = True,
  data: Sequence[str] = (),
  say: Callable[[str], None] = print,
) -> Run:
  """Returns the model of a work directory, with its parameters, encoder and decoder, and without its data.

  Parameters that training spread over devices by mesh.fsdp are read into such parts again, as far as that number and
  the devices have a divisor in common. Of parameters and their average only one is read.

  Args:
    workdir: where training wrote, a folder that `launch.export` wrote, or "pretrained/NAME", a model of the package.
    devices: that it is used on; default: all there are, of all processes.
    step: checkpoint: best (by validation; the newest where nothing was validated), latest, or a number.
    ema: take the moving average of the parameters where the run kept one.
    data: where the data of the run are now, if they are not where training found them: a path, or key=value for another
      key of the section `data`, such as mapping=table.csv; may be repeated.
    say: receives one line if the newest checkpoint is corrupt and an older one is taken.

  Raises:
    InputError: the directory holds no run or no such checkpoint, its record describes another model, or the files of
      an exported model are not those that were written.
  """
  folder, record = agreement.agreed(lambda: _found(workdir), lambda found: agreement.of_record(found[1]))
  data = texts(data, "data")
  mesh = _mesh(record, devices)
  restored = exported.restored(
    folder,
    _checkpoint(step),
    wanted="average" if ema else "params",
    layout=functools.partial(_layout, mesh),
    say=say,
  )
  check_definition(record, restored.identity, restored.step, folder)
  averaged = ema and restored.ema is not None
  return Run(
    model=_model_of(record),
    params=restored.ema if averaged else restored.params,
    state=restored.model_state,
    record=record,
    media=media_of(record.event, record.codec, record.position),
    workdir=exported.written_in(folder),
    step=restored.step,
    uses_ema=averaged,
    source=functools.cache(functools.partial(source_of, record, data, folder)),
    spread=spread_of(mesh),
    folder=folder,
  )


def _model_of(record: RunRecord) -> Model:
  """Returns the model of a record, the same one of the same definition: what was compiled for it serves again."""
  section = record.config["model"]
  if record.config.get("plugins"):  # a notebook may have changed what a name of theirs means
    return make_model(section, record.event)
  return _remembered(json.dumps(section), record.event)


@functools.lru_cache(maxsize=8)
def _remembered(section: str, event: EventSpec) -> Model:
  return make_model(from_json(section), event)


def _found(workdir: str | os.PathLike[str]) -> tuple[str, RunRecord]:
  """Returns the folder that a user means, and its record."""
  folder = exported.located(workdir)
  if exported.is_exported(folder):
    exported.verify(folder, [schema.FILE_NAME])
  return folder, read_record(folder)


def _mesh(record: RunRecord, devices: Sequence[jax.Device] | None) -> Mesh:
  """Returns the devices as a mesh like that of training, as far as their number has a divisor in common with its."""
  found = jax.devices() if devices is None else list(devices) if isinstance(devices, Iterable) else []
  if not found or not all(isinstance(each, jax.Device) for each in found):
    raise InputError(f"devices is {shown(devices)}; give a list of devices, as jax.devices() is, or leave it out")
  one_process = len(found) // len({device.process_index for device in found})
  tensor = math.gcd(record.config["mesh"].get("tensor", 1), one_process)
  fsdp = math.gcd(record.config["mesh"]["fsdp"], sharding.most_of_a_copy(found) // tensor)
  return sharding.make_mesh(fsdp=fsdp, tensor=tensor, devices=found)


def _layout(mesh: Mesh, item: Mapping[str, PyTree]) -> PyTree:
  """Returns the arrays of a model with the shardings of training on a mesh."""
  if mesh.size == 1:
    device = SingleDeviceSharding(mesh.devices.item())
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=device), dict(item))
  params, state = item["params"], item.get("model_state", {})
  found = sharding.shard_state(TrainState(item["step"], params, item.get("ema"), (), state), mesh)._asdict()
  return {
    name: jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), tree, found[name])
    for name, tree in item.items()
  }


def _checkpoint(step: str | int) -> str | int:
  """Returns a checkpoint's name, "best" or "latest", or its number."""
  if step in ("best", "latest") or isinstance(step, int):
    return step
  if not re.fullmatch("[0-9]{1,18}", step):
    raise InputError(f"--step is {step!r}; give best, latest, or the number of a checkpoint")
  return int(step)


def _one_example(event: EventSpec, x: Int[HostOrDevice, "*event"]) -> Int[np.ndarray, "*event"]:
  """Returns the integers of one example, of text or another sequence also fewer than all. Raises InputError."""
  try:
    found = np.asarray(x)
  except (TypeError, ValueError):  # no array at all, as what `sample` returns, or lists of different lengths
    found = np.asarray(None)
  shape = "[" + ", ".join(map(str, event.shape)) + "]"
  if found.dtype.kind not in "iu":
    raise InputError(
      f"decode takes the integers of one example, {shape}, not {x!r:.60}; encode makes them of an example"
    )
  if found.shape != event.shape and not (found.ndim == len(event.shape) == 1 and found.size < event.shape[0]):
    given = "[" + ", ".join(map(str, found.shape)) + "]"
    raise InputError(f"decode takes one example, {shape}, and this has the shape {given}; of several give one, x[0]")
  if found.size and not (found.min() >= 0 and found.max() < event.num_classes):
    raise InputError(
      f"decode takes integers from 0 to {event.num_classes - 1}; these go from {found.min()} to {found.max()}"
    )
  return found

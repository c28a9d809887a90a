"""A trained model, ready for use."""

import functools
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh, SingleDeviceSharding

from catgen.batches import take
from catgen.config import make_model
from catgen.evaluation.spelling import check_error_rate
from catgen.evaluation.spread import ALONE, Spread, fetch
from catgen.interfaces import Denoised, InputError, Model, PyTree
from catgen.media import Media, media_of
from catgen.media.medium import Examples
from catgen.runs import agreement, exported, schema
from catgen.runs.argument_types import checked, texts
from catgen.runs.experiment import spread_of
from catgen.runs.record import RunRecord, check_definition, read_record, source_of
from catgen.sources import DataSource
from catgen.training import sharding
from catgen.training.state import TrainState


class Run(NamedTuple):
  """A trained model with all that is known of it: what `catgen.load` returns.

  Its methods are the functions of the modules of the same name in `catgen.runs`, which say what their options mean
  and what they return; pictures and files are written only where they say so. They use all devices that the model was
  loaded for; of several processes all call them, all get the same, and the first writes.
  """

  model: Model
  params: PyTree
  state: PyTree
  record: RunRecord
  media: Media
  workdir: str  # where what is made of it is written: of an exported model another folder than its own
  step: int
  uses_ema: bool
  source: Callable[[], DataSource]  # loads the data set, once; nothing but evaluation and comparisons needs it
  spread: Spread = ALONE  # the devices, over which `params` lie as in training
  folder: str = ""  # that it was read from

  @property
  def encode(self) -> Callable:
    """Text -> integers [length]; an array -> integers [*event]."""
    return self.record.codec.encode

  @property
  def decode(self) -> Callable:
    """One example's integers [*event] -> text or an array."""
    return self.record.codec.decode

  def sample(self, num: int = 1, *, pictures: bool = False, **options: Any) -> Any:
    """Returns `num` samples, `.x` [num, *event].

    Options: seed, num_steps, temperature, chain ... of `runs.sample.sample`.
    """
    from catgen.runs.sample import sample  # it takes a Run

    return sample(self, num_samples=num, pictures=pictures, **options)

  def score(self, examples: Examples, *, reference: int = 0, **options: Any) -> Any:
    """Returns bits of texts or arrays of your own: `.estimate` over all, `.nats` and `.bits` for each.

    With `reference` > 0 also where they stand among so many training examples; see `runs.score.score`.
    """
    from catgen.runs.score import score

    return score(self, examples, reference=reference, **options)

  def classify(self, examples: Examples, **options: Any) -> Any:
    """Returns which label examples have, `.probabilities` [examples, labels]; see `runs.classify.classify`."""
    from catgen.runs.classify import classify

    return classify(self, examples, **options)

  def evaluate(self, **options: Any) -> Any:
    """Returns the likelihood of a split, in bits, and adds it to results.json; see `runs.evaluate.evaluate`."""
    from catgen.runs.evaluate import evaluate

    return evaluate(self, **options)

  def infill(self, example: Any = None, *, pictures: bool = False, **options: Any) -> Any:
    """Returns completions, `.x` [completions, *event], of a text or array with holes, of your own or of the data.

    See `runs.infill.infill`.
    """
    from catgen.runs.infill import infill

    return infill(self, example, pictures=pictures, **options)

  def correct(self, example: Any = None, *, pictures: bool = False, **options: Any) -> Any:
    """Returns a text or array of your own (or one of the data, corrupted) corrected, `.x` [*event].

    See `runs.correct.correct`.
    """
    from catgen.runs.correct import correct

    return correct(self, example, pictures=pictures, **options)

  def plot(self, **options: Any) -> Any:
    """Returns the paths of the pictures that fit: loss in bits, samples, their way from noise; see `runs.plot.plot`."""
    from catgen.runs.plot import plot

    return plot(self, **options)

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
    model=make_model(record.config["model"], record.event),
    params=restored.ema if averaged else restored.params,
    state=restored.model_state,
    record=record,
    media=media_of(record.event, record.codec, record.position),
    workdir=exported.written_in(folder),
    step=restored.step,
    uses_ema=averaged,
    source=functools.cache(functools.partial(source_of, record, data)),
    spread=spread_of(mesh),
    folder=folder,
  )


def _found(workdir: str | os.PathLike[str]) -> tuple[str, RunRecord]:
  """Returns the folder that a user means, and its record."""
  folder = exported.located(workdir)
  if exported.is_exported(folder):
    exported.verify(folder, [schema.FILE_NAME])
  return folder, read_record(folder)


def _mesh(record: RunRecord, devices: Sequence[jax.Device] | None) -> Mesh:
  """Returns the devices as a mesh like that of training, as far as their number has a divisor in common with its."""
  devices = jax.devices() if devices is None else devices
  one_process = len(devices) // len({device.process_index for device in devices})
  tensor = math.gcd(record.config["mesh"].get("tensor", 1), one_process)
  fsdp = math.gcd(record.config["mesh"]["fsdp"], len(devices) // tensor)
  return sharding.make_mesh(fsdp=fsdp, tensor=tensor, devices=devices)


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

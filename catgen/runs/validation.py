"""What a run does between steps of training: its bits on the validation split, and samples for a picture."""

from collections.abc import Callable
from functools import partial

import jax

from catgen.batches import batch_of
from catgen.evaluation import likelihood
from catgen.evaluation.estimators import Carried
from catgen.evaluation.samples import generate
from catgen.interfaces import Batch, InputError, PyTree, ReadOptions, SampleOptions
from catgen.keys import root_key
from catgen.media import Media, media_of
from catgen.runs.experiment import Experiment, evaluation_batches, spread_of
from catgen.runs.sample import sample_options


def make_validation(experiment: Experiment) -> Callable[..., dict[str, float]] | None:
  """Returns (params, model_state, step, check) -> {"bits", ...} on the validation split; None where there is none.

  The draws are the same every time, so that differences between steps are paired. Where training carries a memory, so
  does the validation, of as many positions. check() is called after each batch and may raise; batches are filled up to
  a multiple of the devices.
  """
  if "validation" not in experiment.source.splits:
    return None
  config, spread = experiment.config, spread_of(experiment.mesh)
  size, limit = spread.filled(config["evaluation"]["batch_size"]), config["training"]["validation_examples"]
  carried = Carried(None, ReadOptions()) if experiment.target.memory is not None else None
  walk = partial(evaluation_batches, experiment.source, "validation", size, limit)
  key = jax.random.fold_in(root_key(config["seed"]), 2)

  def validate(params: PyTree, model_state: PyTree, step: int, check: Callable[[], None]) -> dict[str, float]:
    result = likelihood.evaluate(
      experiment.model,
      params,
      model_state,
      walk(segment=None if carried is None else 0),
      key=key,
      num_replicates=1,
      carried=carried,
      consecutive=experiment.source.splits["validation"].consecutive,
      spread=spread,
      progress=lambda share: check(),
    )
    terms = {f"terms/{name}": value for name, value in result.terms.items()}
    how = {} if carried is None else {"carried": 1.0}  # a memory, so that the number is no other run's by accident
    return {"bits": result.estimate.bits, "data_error": result.estimate.data_error, **terms, **how}

  return validate


def make_sampler(experiment: Experiment) -> Callable[..., Batch] | None:
  """Returns (params, model_state, check) -> `training.validation_samples` samples; None where it is 0.

  They are drawn with the same keys every time, so that pictures of different steps can be compared. check() is called
  after each batch and may raise.

  Raises:
    InputError: there is no picture of such examples, or no validation; or `sampling` has an option that the model
      cannot honour, whether samples are drawn in training or only when it has ended.
  """
  config, model, target, media = experiment.config, experiment.model, experiment.target, media_in(experiment)
  number = config["training"]["validation_samples"]
  reason = None if "validation" in experiment.source.splits else "the data have no split 'validation'"
  if media.pictured.samples is None:
    reason = f"examples are {media.name} of shape {model.event.shape}, of which there are no pictures"
  if number and reason:
    raise InputError(f"config.training.validation_samples is {number}, but {reason}; set it to 0")
  key = jax.random.fold_in(root_key(config["seed"]), 3)
  try:
    options = sample_options(config, media)
    draw = partial(model.sample, options=options)
    if number or options != SampleOptions():
      jax.eval_shape(lambda params, state: draw(params, key[None], state=state), target.params, target.model_state)
  except InputError as error:
    raise InputError(f"config.sampling: {error}") from error
  if not number:
    return None

  def sample(params: PyTree, model_state: PyTree, check: Callable[[], None]) -> Batch:
    size = config["sampling"]["batch_size"]
    drawn = generate(
      model,
      params,
      model_state,
      num_samples=number,
      batch_size=size,
      key=key,
      options=options,
      progress=lambda amount: check(),
      spread=spread_of(experiment.mesh),
    )
    return batch_of(drawn.x, drawn.valid)

  return sample


def media_in(experiment: Experiment) -> Media:
  """Returns what the examples of an experiment are to people."""
  source = experiment.source
  return media_of(source.event, source.codec, source.position)

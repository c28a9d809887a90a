"""All pictures that a run has to offer."""

from functools import partial
from typing import Any

import jax

from catgen.interfaces import InputError
from catgen.paths import exists, join
from catgen.reporting import writers
from catgen.runs.load import Run
from catgen.runs.sample import sample_options
from catgen.runs.train import draw_loss_curve


def plot(run: Run, *, num_samples: int = 8, **options: Any) -> tuple[str, ...]:
  """Returns the paths of what is drawn: the loss curve, samples and their way from noise, as far as there is such.

  The loss is in bits per position.

  Args:
    run: the model.
    num_samples: how many samples.
    options: of `runs.sample.sample`.
  """
  paths: tuple[str, ...] = ()
  if jax.process_index() == 0 and exists(join(run.workdir, writers.FILE_NAME)):
    paths = draw_loss_curve(run.workdir, run.record.position)
  chain = run.media.pictured.chain is not None and _keeps_frames(run)
  return paths + run.sample(num_samples, pictures=True, chain=chain, **options).pictures


def _keeps_frames(run: Run) -> bool:
  """Returns True where the sampler is iterative, so that it has states to show."""
  draw = partial(run.model.sample, options=sample_options(run.record.config, run.media)._replace(num_frames=2))
  try:
    jax.eval_shape(lambda params, state: draw(params, jax.random.key(0)[None], state=state), run.params, run.state)
  except InputError:
    return False
  return True

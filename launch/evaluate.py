"""Evaluates a trained model and adds the result to results.json in its work directory.

  python -m launch.evaluate --workdir=runs/quickstart
  python -m launch.evaluate --workdir=runs/quickstart --estimator=full --split=validation
  python -m launch.evaluate --workdir=runs/masked --order=margin --positions_per_call=4    # exact, of that sampler
  python -m launch.evaluate --workdir=runs/quickstart --watch      # each new checkpoint of a running job

Data and defaults are those of the run's config.json. Estimators: "exact" (autoregressive), "elbo" (one random time
step per example and draw), "full" (every time step once), "iwbo" (importance weighted over --num_draws draws:
latents of a flow, whole trajectories of diffusion), "order" (of the samples of an --order). Where a flow can draw codes
that mean no category, their share in samples is measured too. The score of every example is kept in scores/, for
launch.compare. Of label maps a few samples are drawn beside held-out ones, samples_beside_SPLIT.png.
"""

import sys
from collections.abc import Sequence

from catgen.runs import evaluate, watch
from catgen.runs.command import Command

from . import cli


def main(words: Sequence[str] | None = None) -> int:
  """Returns the exit code."""
  return cli.main(
    __doc__,
    words,
    Command(evaluate.evaluate, evaluate.describe, devices=True),
    Command(
      watch.watch, watch.describe_watched, flag="watch", help="evaluate each checkpoint until the end", devices=True
    ),
  )


if __name__ == "__main__":
  sys.exit(main())

"""Evaluates a trained model and adds the result to results.json in its work directory.

  python -m launch.evaluate --workdir=runs/quickstart
  python -m launch.evaluate --workdir=runs/quickstart --estimator=full --split=validation
  python -m launch.evaluate --workdir=runs/quickstart --watch      # each new checkpoint of a running job

Data and defaults are those of the run's config.json. Estimators: "exact" (autoregressive), "elbo" (one random time
step per example and draw), "full" (every time step once), "iwbo" (importance weighted over --num_draws draws:
latents of a flow, whole trajectories of diffusion). Where a flow can draw codes that mean no category, their share in
samples is measured too. The score of every example is kept in scores/, for launch.compare. Of label maps a few samples
are drawn beside held-out ones, samples_beside_SPLIT.png, and TensorBoard shows the pictures.
"""

import os
import time
from functools import partial
from typing import Any

import jax
import numpy as np
from absl import flags

from catgen import build, experiment
from catgen.evaluation import likelihood, results
from catgen.evaluation import samples as sampling
from catgen.interfaces import DataSource, InputError
from catgen.reporting import figures, progress, text
from catgen.training import sharding
from catgen.training.checkpoint import checkpoint_steps
from launch import cli, pictures

FLAGS = flags.FLAGS
_PICTURED = 8  # samples beside as many held-out maps


def main() -> None:
  workdir = cli.workdir()
  record = build.read_record(workdir)
  settings = _settings(record.config["evaluation"])
  source = build.source_of(record)
  steps = (
    new_checkpoints(workdir, record.config["training"]["num_steps"]) if FLAGS.watch else [cli.step_flag(FLAGS.step)]
  )
  for step in steps:
    try:
      run = build.load(workdir, step=step, use_ema=FLAGS.ema, say=cli.say)
    except InputError:
      if FLAGS.watch and step not in checkpoint_steps(workdir):
        continue  # the running job has replaced it
      raise
    evaluate(run, workdir, source, settings, seed=FLAGS.seed)


def _settings(defaults: dict[str, Any]) -> dict[str, Any]:
  given = {
    "split": FLAGS.split,
    "estimator": FLAGS.estimator,
    "num_draws": FLAGS.num_draws,
    "num_replicates": FLAGS.num_replicates,
    "max_examples": FLAGS.max_examples,
    "batch_size": FLAGS.batch_size,
    "draws_at_once": FLAGS.draws_at_once,
    "invalid_samples": FLAGS.invalid_samples,
    "pictures": FLAGS.pictures,
  }
  return {**defaults, **{key: value for key, value in given.items() if value is not None}}


def new_checkpoints(workdir: str, last: int) -> Any:
  """Yields each checkpoint's step as it appears, until that of step `last`."""
  seen: set[int] = set()
  while True:
    for step in checkpoint_steps(workdir):
      if step not in seen:
        seen.add(step)
        yield step
    if last in seen:
      return
    time.sleep(FLAGS.watch_seconds)


def evaluate(
  run: build.Run, workdir: str, source: DataSource, settings: dict[str, Any], *, seed: int = 0
) -> dict[str, Any]:
  """Evaluates one checkpoint, prints the result with its meaning, and returns its record."""
  mesh = sharding.make_mesh(data=1, devices=jax.devices()[:1])
  split, batch_size = settings["split"], settings["batch_size"]
  batches = list(experiment.evaluation_batches(source, split, batch_size, settings["max_examples"]))
  replicates = settings["num_replicates"]
  bar = progress.open_progress(len(batches), unit="batch", title=f"evaluate step {run.step}")
  try:
    found = likelihood.evaluate(
      run.model,
      run.params,
      run.state,
      batches,
      key=jax.random.key(seed),
      estimator=settings["estimator"],
      num_draws=settings["num_draws"],
      num_replicates=replicates,
      draws_at_once=settings["draws_at_once"],
      place=partial(sharding.place, mesh=mesh),
      progress=bar.update,
    )
  finally:
    bar.close()
  record = results.likelihood_record(
    found,
    source,
    split=split,
    step=run.step,
    ema=run.uses_ema,
    config=run.record.config,
    invalid=_invalid(run, settings.get("invalid_samples", 0), seed),
  )
  results.save_scores(workdir, record, found)
  path = results.add_results(workdir, record)
  cli.say(describe(record))
  drawn = []
  if found.anatomy is not None:
    picture = os.path.join(workdir, f"anatomy_{split}.png")
    figures.bound_anatomy(found.anatomy.by_time, found.anatomy.by_position, picture, position=source.position)
    cli.say(f"where the bound loses its bits: {picture}")
    drawn.append(picture)
  cli.say(f"written to {path}")
  if settings.get("pictures", True) and pictures.is_map(source.event):
    pictures.show(workdir, run.step, [*drawn, _samples_beside_data(run, workdir, source, split, seed)])
  return record


def _samples_beside_data(run: build.Run, workdir: str, source: DataSource, split: str, seed: int) -> str:
  """Draws a few samples, pictures them beside held-out maps, and returns the picture's path."""
  steps = run.record.config["sampling"]["num_steps"]
  how = "" if steps is None else f" in sampling.num_steps = {steps} network calls"
  cli.say(f"drawing {_PICTURED} samples{how} for a picture (--pictures=false leaves it out)")
  drawn = run.sample(_PICTURED, seed=seed)
  samples = pictures.marked(np.asarray(drawn.x), np.asarray(drawn.valid))
  held_out = experiment.examples_of(source, split, _PICTURED)
  data = pictures.marked(held_out.x, held_out.valid)
  path = os.path.join(workdir, f"samples_beside_{split}.png")
  return pictures.draw_beside(path, data, samples, pictures.legend_of(run.record), run.step)


def _invalid(run: build.Run, num_samples: int, seed: int) -> sampling.Invalid | None:
  """Returns what of so many samples means no category, where the model has such codes."""
  if run.model.latent is None or not run.model.latent.has_unused_codes or num_samples == 0:
    return None
  return sampling.invalid_share(np.asarray(run.sample(num_samples, seed=seed).valid))


_MEANINGS = {
  "exact": "exact log-likelihood",
  "elbo": "upper bound by random time steps or latents (ELBO)",
  "full": "upper bound by the sum over all time steps (ELBO)",
  "iwbo": "upper bound, importance weighted (IWBO)",
}


def describe(record: dict[str, Any]) -> str:
  """Returns an evaluation in a few lines."""
  rows = [
    [record["unit"], text.plus_minus(record["value"], record["data_error"]), "standard error over examples"],
    ["", text.plus_minus(record["value"], record["monte_carlo_error"]), "standard error of the estimate (Monte Carlo)"],
    *[[f"  {name}", f"{round(value, 4) + 0.0:.4f}", "term"] for name, value in record["terms"].items()],
  ]
  heading = (
    f"{record['split']} split, step {record['step']}{', averaged parameters' if record['ema'] else ''}:"
    f" {_MEANINGS[record['estimator']]}, {record['num_draws']} draw(s), {record['num_replicates']} replicate(s),"
    f" {record['num_examples']:,} examples"
  )
  notes = [f"warning: {line}" for line in record["warnings"]]
  if (invalid := record["invalid"]) is not None:
    share = text.plus_minus(100 * invalid["positions"], None if invalid["error"] is None else 100 * invalid["error"], 2)
    notes.append(
      f"codes that mean no category: {share} % of the positions and {invalid['examples']:.0%} of the examples, "
      f"in {invalid['num_samples']} samples"
    )
  return "\n".join([heading, text.table(["unit", "value", "meaning"], rows), *notes])


def define_flags() -> None:
  flags.DEFINE_string("step", "best", "checkpoint: best (by validation), latest, or a number")
  flags.DEFINE_bool("ema", True, "evaluate the moving average of the parameters where the run kept one")
  flags.DEFINE_string("split", None, "train, validation or test")
  flags.DEFINE_enum("estimator", None, ["exact", "elbo", "full", "iwbo"], "what to compute")
  flags.DEFINE_integer("num_draws", None, "draws per example, averaged; S of iwbo")
  flags.DEFINE_integer("num_replicates", None, "repetitions of the whole estimate, for its Monte Carlo error")
  flags.DEFINE_integer("max_examples", None, "evaluate only the first so many; 0 = all")
  flags.DEFINE_integer("batch_size", None, "examples at a time")
  flags.DEFINE_integer("draws_at_once", None, "draws in one device call: more are faster while memory lasts")
  flags.DEFINE_integer("invalid_samples", None, "samples drawn to find the share of codes without a category; 0 = none")
  flags.DEFINE_bool("pictures", True, "draw a few samples of maps, for a picture of them beside held-out ones")
  flags.DEFINE_integer("seed", 0, "of the draws")
  flags.DEFINE_bool("watch", False, "evaluate each new checkpoint until the run is finished")
  flags.DEFINE_float("watch_seconds", 10.0, "how often --watch looks for a new checkpoint")


if __name__ == "__main__":
  define_flags()
  cli.run(main)

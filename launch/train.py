"""Trains a model.

  python -m launch.train --config=configs/quickstart.py --workdir=runs/quickstart
  python -m launch.train --config=configs/text_file.py --workdir=runs/mine --config.data.path=mine.txt
  python -m launch.train --config=configs/paper/text8_multinomial.py --dry_run

The same command goes on where a run was stopped. Several machines: the same command on each with --coordinator,
--process_id and --num_processes, or none of them on clusters that JAX detects.
"""

import os
from collections.abc import Mapping
from typing import Any

import jax
from absl import flags

from catgen import build, experiment
from catgen.data import summary
from catgen.reporting import figures, progress, writers
from catgen.training import distributed, sharding
from catgen.training.checkpoint import Checkpointer
from catgen.training.dry_run import describe
from catgen.training.loop import Hooks, Periods, TrainResult, train
from launch import cli, pictures

FLAGS = flags.FLAGS


def main() -> int:
  distributed.initialize(FLAGS.coordinator, FLAGS.process_id, FLAGS.num_processes)
  config = cli.config()
  if FLAGS.dry_run:
    return dry_run(config)
  result = run(config, cli.workdir())
  return result.exit_code


def run(config: Mapping[str, Any], workdir: str, *, baselines: Mapping[str, float] | None = None) -> TrainResult:
  """Trains, or goes on training, in a work directory; `baselines` are lines in the loss curve."""
  first = jax.process_index() == 0
  say = cli.say if first else lambda line: None
  made = experiment.make_experiment(config)
  say(summary(made.source))
  build.write_record(workdir, build.record_of(config, made.source), write=first)
  settings, position = config["training"], made.source.position
  with Checkpointer(
    workdir, keep_latest=config["checkpoint"]["keep_latest"], keep_every=config["checkpoint"]["keep_every"], say=say
  ) as checkpoints:
    restored = checkpoints.restore(made.target)
    state = made.init() if restored is None else restored
    start = int(state.step)
    say(f"training {workdir} from step {start} to {settings['num_steps']} on {jax.device_count()} device(s)")
    sink = writers.open_writers(workdir, start) if first else writers.no_writers()
    show = (
      progress.train_progress(settings["num_steps"], start_step=start, position=position)
      if first
      else lambda step, values: None
    )

    def report(step: int, metrics: dict[str, float]) -> None:
      sink.write(step, {f"train/{name}": value for name, value in metrics.items()})
      show(step, metrics)

    validate, draw = experiment.make_validation(made), experiment.make_sampler(made)

    def validate_and_write(params: Any, model_state: Any, step: int) -> dict[str, float]:
      metrics = validate(params, model_state, step) if validate else {}
      sink.write(step, {f"validation/{name}": value for name, value in metrics.items()})
      if draw:
        maps = draw(params, model_state)  # on all processes
        if first:
          path, legend = os.path.join(workdir, "validation_samples.png"), pictures.legend_of(made.source)
          writers.show_pictures(workdir, step, [pictures.draw_samples(path, maps, legend, step)])
      return metrics

    try:
      result = train(
        state=state,
        train_step=made.train_step,
        batches=experiment.batches(made, start),
        key=made.key,
        num_steps=settings["num_steps"],
        mesh=made.mesh,
        workdir=workdir,
        checkpoints=checkpoints,
        periods=Periods(settings["report_every"], settings["validate_every"], config["checkpoint"]["every"]),
        hooks=Hooks(report, validate_and_write if validate else None),
      )
    finally:
      sink.close()
  if first:
    _leave_picture(workdir, position, baselines)
  verb = "stopped; the same command goes on" if result.interrupted else "done"
  say(f"{verb} at step {result.step}: {workdir}")
  return result


def _leave_picture(workdir: str, position: str, baselines: Mapping[str, float] | None) -> None:
  metrics, picture = os.path.join(workdir, writers.FILE_NAME), os.path.join(workdir, "loss_curve.png")
  if any("train/bits" in record for record in writers.read_metrics(metrics)):
    figures.loss_curve(metrics, picture, position=position, baselines=baselines)


def dry_run(config: Mapping[str, Any]) -> int:
  """Prints what a step costs. Needs the data, since they decide the shapes, unless the config's kind fixes them."""
  made = experiment.make_experiment(config)
  placed = sharding.place(made.example, made.mesh)
  cost = describe(made.train_step, made.target, placed, made.key)
  positions = made.example.x.size * jax.process_count()
  gib = 2.0**30
  for line in (
    f"data          {summary(made.source)}",
    f"devices       {jax.device_count()} x {jax.devices()[0].device_kind}, mesh {dict(made.mesh.shape)}",
    f"parameters    {cost.num_parameters:,}",
    f"FLOPs a step  {cost.flops:.4g} (matrix products, forward and backward; {cost.flops / positions:.4g} a position)",
    f"steps         {config['training']['num_steps']:,} of {config['training']['batch_size']} examples,"
    f" {positions * config['training']['num_steps']:,} {made.source.position}s in all",
    f"per device    parameters {cost.parameter_bytes / gib:.3f} GiB, whole state {cost.state_bytes / gib:.3f} GiB,"
    f" batch {cost.batch_bytes / gib:.5f} GiB",
  ):
    cli.say(line)
  return 0


def define_flags() -> None:
  cli.define_config()
  flags.DEFINE_bool("dry_run", False, "print parameters, operations and bytes of a step, and train nothing")
  flags.DEFINE_string("coordinator", None, "host:port of process 0, where several processes train")
  flags.DEFINE_integer("process_id", None, "number of this process, from 0")
  flags.DEFINE_integer("num_processes", None, "number of processes")


if __name__ == "__main__":
  define_flags()
  cli.run(main)

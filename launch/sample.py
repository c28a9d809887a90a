"""Draws samples from a trained model: text to the terminal, label maps as a picture, anything to a file.

python -m launch.sample --workdir=runs/quickstart
python -m launch.sample --workdir=runs/quickstart --num_samples=100 --output=samples.txt --temperature=0.8
python -m launch.sample --workdir=runs/quickstart --num_steps=100     # fewer network calls
python -m launch.sample --workdir=runs/quickstart --chain             # how they emerge: chain.png and chain.gif
python -m launch.sample --workdir=runs/quickstart --num_samples=64 --compare   # statistics beside those of the data

Of label maps it leaves samples.png in the work directory; with --compare also samples_beside_data.png and
statistics.png. TensorBoard shows them too.
"""

import os

import jax
import numpy as np
from absl import flags

from catgen import build, experiment
from catgen.batches import batch_of
from catgen.evaluation import samples as sampling
from catgen.interfaces import Batch, DataSource, InputError, SampleOptions
from catgen.reporting import figures_chain, progress, text
from launch import cli, inputs, pictures

FLAGS = flags.FLAGS

_FRAMES = 40
_COMPARED_EXAMPLES, _COMPARED_MAPS = 100_000, 5000  # of the training split, at most


def main() -> None:
  run = build.load(cli.workdir(), step=cli.step_flag(FLAGS.step), say=cli.say)
  source = build.source_of(run.record) if FLAGS.compare else None
  settings = run.record.config["sampling"]
  options = build.sample_options(run.record, num_steps=FLAGS.num_steps, temperature=FLAGS.temperature)
  draw(
    run,
    cli.workdir(),
    options._replace(num_frames=_FRAMES) if FLAGS.chain else options,
    num_samples=settings["num_samples"] if FLAGS.num_samples is None else FLAGS.num_samples,
    batch_size=settings["batch_size"] if FLAGS.batch_size is None else FLAGS.batch_size,
    seed=FLAGS.seed,
    output=FLAGS.output,
    source=source,
  )


def draw(
  run: build.Run,
  workdir: str,
  options: SampleOptions,
  *,
  num_samples: int,
  batch_size: int,
  seed: int,
  output: str | None = None,
  source: DataSource | None = None,
) -> list[str]:
  """Draws, shows or writes the samples, compares them with the data of `source`, and returns pictures written."""
  if output is not None:
    with cli.writing(output):  # before the work, not after it
      open(output, "a").close()
  bar = progress.open_progress(num_samples, unit="sample", title="sample")
  try:
    drawn = sampling.generate(
      run.model,
      run.params,
      run.state,
      num_samples=num_samples,
      batch_size=min(batch_size, num_samples),
      key=jax.random.key(seed),
      options=options,
      progress=bar.update,
    )
  finally:
    bar.close()
  x, valid = np.asarray(drawn.x), np.asarray(drawn.valid)
  _show(run, x, valid, output)
  sets = None if source is None else compared_sets(run, batch_of(x, valid), source)
  if sets is not None:
    cli.say(comparison(run, sets))
  chain = None if drawn.chain is None else np.asarray(drawn.chain)
  if pictures.is_map(run.record.event):
    return show_maps(run, workdir, x, valid, chain, sets)
  return [] if chain is None else show_chain(run, chain[:, 0], workdir)


def _show(run: build.Run, x: np.ndarray, valid: np.ndarray, output: str | None) -> None:
  is_text = inputs.is_text(run)
  if output is not None:
    with cli.writing(output), open(output, "wb") as file:
      if is_text:
        file.writelines(f"{text.visible(run.decode(example))}\n".encode() for example in x)
      else:
        np.save(file, x)
    cli.say(f"{len(x)} samples written to {output}")
  elif pictures.is_map(run.record.event):
    shares = sampling.frequencies(batch_of(x, valid), run.record.event.num_classes).classes
    cli.say(
      f"{len(x):,} maps of {' x '.join(map(str, x.shape[1:]))} {run.record.position}s: "
      f"{pictures.summary(shares, pictures.legend_of(run.record))}"
    )
  else:
    for example in x:
      cli.say(text.visible(run.decode(example)) if is_text else str(run.decode(example)))
  if not valid.all():
    cli.say(f"{1 - valid.mean():.2%} of the positions hold a code that means no category")


def compared_sets(run: build.Run, samples: Batch, source: DataSource) -> dict[str, Batch]:
  """Returns samples, as many held-out examples, and the training split, by name."""
  most = _COMPARED_MAPS if pictures.is_map(source.event) else _COMPARED_EXAMPLES
  return {
    "samples": samples,
    "held-out data": experiment.examples_of(source, run.record.config["evaluation"]["split"], len(samples.x)),
    "training data": experiment.examples_of(source, "train", most),
  }


def comparison(run: build.Run, sets: dict[str, Batch]) -> str:
  """Returns statistics of samples and of held-out data, both beside those of the training split, which comes last."""
  found = [sampling.frequencies(each, run.record.event.num_classes) for each in sets.values()]
  *_, training = found
  names = {"classes": "categories", "pairs": "neighbor pairs"}
  if training.pairs_below is not None:
    names |= {"pairs": "pairs to the right", "pairs_below": "pairs below"}
  rows = [
    ["examples", *(f"{len(each.x):,}" for each in sets.values())],
    [f"entropy of a {run.record.position}, bits", *(f"{sampling.entropy(each.classes):.3f}" for each in found)],
  ]
  for field, name in names.items():
    divergences = (sampling.divergence(getattr(each, field), getattr(training, field)) for each in found)
    rows.append([f"{name}: divergence from training, bits", *(f"{value:.4f}" for value in divergences)])
  if inputs.is_text(run):
    rows.append(["words that training has", *_known_words(run, list(sets.values()))])
  return (
    f"\n{text.table(['', *sets], rows)}\n(Jensen-Shannon divergence: 0 = same, 1 = disjoint; few examples raise it.)"
  )


def _known_words(run: build.Run, sets: list[Batch]) -> list[str]:
  """Returns for each set how many of its whole words occur in the last one."""
  texts = [[run.decode(*example) for example in zip(each.x, each.valid, strict=True)] for each in sets]
  vocabulary = {word for line in texts[-1] for word in sampling.whole_words(line)}
  return ["{:,} of {:,}".format(*sampling.word_rate(lines, vocabulary)) for lines in texts]


def show_maps(
  run: build.Run,
  workdir: str,
  x: np.ndarray,
  valid: np.ndarray,
  chain: np.ndarray | None,
  sets: dict[str, Batch] | None,
) -> list[str]:
  """Draws samples, their chain, and the sets that they are compared with; shows and returns the pictures."""
  maps, legend = pictures.marked(x, valid), pictures.legend_of(run.record)
  paths = [pictures.draw_samples(os.path.join(workdir, "samples.png"), maps, legend, run.step)]
  if sets is not None:
    data = sets["held-out data"]
    held_out, beside = pictures.marked(data.x, data.valid), os.path.join(workdir, "samples_beside_data.png")
    paths.append(pictures.draw_beside(beside, held_out, maps, legend, run.step))
    found = {name: sampling.frequencies(each, run.record.event.num_classes) for name, each in sets.items()}
    data_first = {name: found[name] for name in reversed(found)}
    paths.append(pictures.draw_statistics(os.path.join(workdir, "statistics.png"), data_first, legend))
  if chain is not None:
    paths += pictures.draw_chain(workdir, chain, legend)
  pictures.show(workdir, run.step, paths)
  return paths


def show_chain(run: build.Run, chain: np.ndarray, workdir: str) -> list[str]:
  """Prints frames of one example's chain, writes it as PNG and GIF, and returns their paths."""
  if not inputs.is_text(run):
    raise InputError("--chain pictures text and maps only")
  frames = [frame_text(run, state) for state in chain]
  labels, few = pictures.chain_labels(len(frames)), pictures.evenly(len(frames), 12)
  cli.say(text.chain_frames([frames[i] for i in few], [labels[i] for i in few], color=os.isatty(1)))
  paths = [os.path.join(workdir, name) for name in ("chain.png", "chain.gif")]
  figures_chain.chain_picture([frames[i] for i in few], [labels[i] for i in few], paths[0])
  figures_chain.chain_animation(frames, labels, paths[1])
  cli.say(f"the chain is in {paths[0]} and {paths[1]}")
  return paths


def frame_text(run: build.Run, state: np.ndarray) -> str:
  """Returns a state of a chain as text; masked positions are shown as light blocks."""
  masked = state >= run.record.event.num_classes
  characters = run.decode(np.where(masked, 0, state))
  return "".join(
    text.MASK if hidden else shown for hidden, shown in zip(masked, text.visible(characters), strict=False)
  )


def define_flags() -> None:
  flags.DEFINE_bool("compare", False, "also set statistics of the samples beside those of the data")
  flags.DEFINE_string("step", "best", "checkpoint: best (by validation), latest, or a number")
  flags.DEFINE_integer("num_samples", None, "how many")
  flags.DEFINE_integer("batch_size", None, "samples drawn together")
  flags.DEFINE_integer("num_steps", None, "network calls of an iterative sampler; default: all time steps")
  flags.DEFINE_float("temperature", None, "below 1: more probable categories; above 1: more variety")
  flags.DEFINE_integer("seed", 0, "of the draws")
  flags.DEFINE_string(
    "output",
    None,
    "file: one sample a line for text, otherwise .npy; default: the terminal, or for maps the picture alone",
  )
  flags.DEFINE_bool(
    "chain", False, "also show how samples emerge from noise, with a PNG and a GIF in the work directory"
  )


if __name__ == "__main__":
  define_flags()
  cli.run(main)

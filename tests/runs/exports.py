"""What the tests of exported models share: the tiny run of text exported, and runs of every family, made up."""

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

from catgen.config import fill, load_config, make_model, small_section
from catgen.interfaces import Batch
from catgen.media import media_of
from catgen.models import MODELS
from catgen.runs import exported
from catgen.runs.check import made_up_source
from catgen.runs.load import Run, load
from catgen.runs.record import record_of
from catgen.trees import leaves
from tests.parameters import filled
from tests.runs.test_check import MAP_SECTIONS, SECTIONS
from tests.tiny_run import quiet

WORDS = ["the cat sat on a", "tac tac"]


FAMILIES = {name: (section, (2,)) for name, section in SECTIONS.items()}
FAMILIES |= {f"{name} of maps": (section, (2, 2)) for name, section in MAP_SECTIONS.items()}


FIRST = {section["kind"]: name for name, (section, _) in reversed(FAMILIES.items())}.values()  # of each family


def on_one_device(folder, **options):
  return load(folder, jax.devices()[:1], say=quiet, **options)


def like(run, trained):
  """Returns a run with the model of another one, which is the same and for which all is compiled already."""
  assert run.record.config["model"] == trained.record.config["model"]
  assert run.record.event == trained.record.event
  return run._replace(model=trained.model)


def same(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for (path, a), (_, b) in zip(leaves(one), leaves(other), strict=True):
    assert a.dtype == b.dtype, path
    np.testing.assert_array_equal(a, b, err_msg=path)


def num_parameters(run):
  return sum(leaf.size for leaf in jax.tree.leaves(run.params))


def resealed(folder):
  """Has the sums agree with what was changed."""
  names = [path.name for path in folder.iterdir() if path.name != exported.SUMS]
  (folder / exported.SUMS).write_bytes(exported.sealed({name: (folder / name).read_bytes() for name in names}))


def made_up_run(section, shape, workdir, attributes=()):
  """Returns a run of a small model whose parameters are made up, not drawn or trained; perhaps with labels."""
  section = small_section(MODELS, fill(MODELS, section, "model"), "model")
  source = made_up_source(shape, 3, 0)
  event = source.event._replace(given=tuple(len(each.values) for each in attributes))
  source = source._replace(event=event, attributes=tuple(attributes))
  model = make_model(section, source.event)
  x = jnp.zeros((4, *shape), jnp.int32)
  given = jnp.zeros((4, len(attributes)), jnp.int32) if attributes else None
  batch = Batch(x, jnp.ones(x.shape, bool), jnp.arange(4), given=given)
  params, state = jax.eval_shape(lambda key: model.init(batch, key), jax.random.key(0))
  record = record_of({**load_config("quickstart").values, "model": section}, source)
  return Run(
    model=model,
    params=filled(params),
    state=filled(state),
    record=record,
    media=media_of(record.event, record.codec, record.position),
    workdir=str(workdir),
    step=7,
    uses_ema=False,
    source=lambda: source,
    folder=str(workdir),
  )

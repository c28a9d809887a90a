"""Every configuration builds and traces a full-size step; the paper's have the paper's parameter counts."""

import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen import build
from catgen.interfaces import Batch, EventSpec, InputError
from catgen.keys import example_keys, example_strata
from configs import base, label_maps, street_scenes
from launch.cli import resolved

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted(p for p in (ROOT / "configs").rglob("*.py") if "def get_config" in p.read_text())
CLASSES = {"text8": 27, "enwik8": 256, "stdlib_docs": 27, "text_file": 40, "text_lines": 21, "array_file": 5}
MAP_CLASSES = {"cityscapes": 8, "label_maps": 12, "squares": 4, "street_scenes": 8}


def load(path):
  spec = importlib.util.spec_from_file_location(path.stem, path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config()


def event_of(config):
  data = config["data"]
  if data["kind"] in MAP_CLASSES:
    return EventSpec(tuple(data["shape"] or (32, 64)), MAP_CLASSES[data["kind"]])
  return EventSpec((data.get("length") or 64,), CLASSES[data["kind"]])


def abstract_batch(config):
  x = jax.ShapeDtypeStruct((config["training"]["batch_size"], *event_of(config).shape), jnp.int32)
  valid, index = jax.ShapeDtypeStruct(x.shape, bool), jax.ShapeDtypeStruct(x.shape[:1], jnp.int32)
  return Batch(x, valid, index)


def marked(path):
  """Eight couplings take seconds to trace, forty twenty seconds: the default suite has those of one file."""
  coupling = (
    path.stem.endswith("coupling") and path.parent.name != "text8_head" and path.stem != "text8_argmax_coupling"
  )
  maps = path.stem.startswith(("cityscapes_argmax", "cityscapes_round"))
  return pytest.param(path, marks=pytest.mark.slow if coupling or maps else ())


def test_every_row_of_street_scenes_can_train_on_other_maps():
  rows = {path.stem for path in FILES if path.parent.name == "street_scenes"}
  assert rows == set(street_scenes.ROWS)
  for row in rows:
    ours, theirs = label_maps.get_config(row).to_dict(), load(ROOT / f"configs/street_scenes/{row}.py").to_dict()
    assert ours.pop("data")["kind"] == "label_maps"
    del theirs["data"]
    assert ours == theirs


@pytest.mark.parametrize("path", map(marked, FILES), ids=lambda p: p.relative_to(ROOT).as_posix())
def test_a_full_size_step_can_be_traced(path):
  config = resolved(load(path))
  model = build.make_model(config["model"], event_of(config))
  optimizer, rate = build.make_training_optimizer(config)
  batch = abstract_batch(config)

  def step(batch, key):
    params, state = model.init(batch, key)
    keys = example_keys(key, batch.index)
    strata = example_strata(key, batch.index, batch.x.shape[0])
    gradient = jax.grad(lambda p: model.bound(p, batch, keys, state=state, train=True, strata=strata).nats.sum())(
      params
    )
    return optimizer.update(gradient, optimizer.init(params), params)[0]

  key = jax.eval_shape(lambda: jax.random.key(0))
  updates = jax.eval_shape(step, batch, key)
  assert jax.tree.leaves(updates)
  assert float(rate(0)) >= 0


@pytest.mark.parametrize(
  ("name", "num_parameters"),
  [("text8_multinomial", 51_545_116), ("enwik8_multinomial", 51_756_289), ("cityscapes_multinomial", 29_839_184)],
)
def test_the_papers_networks_have_the_papers_parameters(name, num_parameters):
  config = resolved(load(ROOT / "configs" / "paper" / f"{name}.py"))
  model = build.make_model(config["model"], event_of(config))
  params, _ = jax.eval_shape(model.init, abstract_batch(config), jax.eval_shape(lambda: jax.random.key(0)))
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == num_parameters


def untrained(name, batch_size, **changes):
  """Returns an untrained model of a paper config, parameters, state, and a batch of random categories."""
  config = resolved(load(ROOT / "configs" / "paper" / f"{name}.py"))
  event = event_of(config)
  model = build.make_model({**config["model"], **changes}, event)
  x = jax.random.randint(jax.random.key(0), (batch_size, *event.shape), 0, event.num_classes)
  batch = Batch(x, jnp.ones(x.shape, bool), jnp.arange(batch_size))
  return model, *jax.jit(model.init)(batch, jax.random.key(0)), batch


LOG2_K = [("text8_multinomial", 4.7549), pytest.param("enwik8_multinomial", 8.0, marks=pytest.mark.slow)]


def bits(nats):
  return -np.asarray(nats, np.float64) / np.log(2)


@pytest.mark.parametrize(("name", "expected"), LOG2_K)
def test_an_untrained_paper_network_needs_log2_k_bits_by_one_step_per_example(name, expected):
  model, params, state, batch = untrained(name, 16)

  @jax.jit
  def bound(params, key):
    keys, strata = example_keys(key, batch.index), example_strata(key, batch.index, 16)
    return model.bound(params, batch, keys, state=state, train=False, strata=strata).nats

  replicates = [bits(bound(params, jax.random.key(r))).mean() / batch.x.shape[1] for r in range(5)]
  error = np.std(replicates, ddof=1) / np.sqrt(len(replicates))
  assert abs(np.mean(replicates) - expected) < 4 * error


@pytest.mark.parametrize(("name", "expected"), LOG2_K)
def test_and_to_a_thousandth_by_the_full_sum_of_a_tiny_schedule(name, expected):
  network = {**base.local_linear_transformer().to_dict(), "width": 8, "num_layers": 1, "num_heads": 2, "window": 64}
  model, params, state, batch = untrained(name, 256, num_steps=1, network=network)

  @jax.jit
  def full(params, key):
    return model.full_bound(params, batch, example_keys(key, batch.index), state=state)[0].nats

  total = np.concatenate([bits(full(params, jax.random.key(r))) / batch.x.shape[1] for r in range(40)])
  assert 3 * total.std() / np.sqrt(total.size) < 1.1e-3  # or the next line would be luck
  assert abs(total.mean() - expected) < 1e-3


def test_keys_are_checked_by_name():
  event = EventSpec((8,), 5)
  section = base.diffusion().to_dict()
  with pytest.raises(InputError, match=r"'schedul'.*did you mean 'schedule'"):
    build.make_model({**section, "schedul": "linear"}, event)
  with pytest.raises(InputError, match=r"config\.model\.kind is 'difusion'.*'diffusion'"):
    build.make_model({**section, "kind": "difusion"}, event)
  with pytest.raises(InputError, match=r"config\.model\.network has no key 'widht'.*'width'"):
    build.make_model({**section, "network": {**section["network"], "widht": 3}}, event)
  with pytest.raises(InputError, match=r"config\.data\.path is not set"):
    build.make_source(base.text_file().to_dict())
  with pytest.raises(InputError, match=r"config\.optimizer has no key 'learning_rat'"):
    build.make_training_optimizer({"optimizer": {"learning_rat": 1.0}, "training": {"num_steps": 1}})

"""Every configuration: what its file states and spells out, its parameters, and a full-size step that can be traced."""

import ast
import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.config import flat, load_config, make_model, make_training_optimizer, model_takes, names, resolve
from catgen.config.files import folder, read_file
from catgen.interfaces import Batch, EventSpec, ReadOptions
from catgen.keys import example_keys, example_strata
from tests.compiling import OPTIMIZED

NAMES = names()
ROWS = sorted(name.removeprefix("street_scenes/") for name in NAMES if name.startswith("street_scenes/"))
CLASSES = {"text8": 27, "enwik8": 256, "stdlib_docs": 27, "text_file": 27, "text_lines": 27, "array_file": 27}
MAP_CLASSES = {"cityscapes": 8, "label_maps": 12, "squares": 4, "street_scenes": 8}


def source_of(name):
  return (folder() / f"{name}.py").read_text()


def docstring_of(name):
  return ast.get_docstring(ast.parse(source_of(name)))


@pytest.mark.parametrize("name", NAMES)
def test_every_file_states_its_command_the_expected_result_and_the_cost(name):
  text = docstring_of(name)
  commands = re.findall(r"python -m launch\.train --config=([^\s:]+)", text)
  assert commands, "the command"
  assert set(commands) == {name}
  expected = re.search(r"^Expected: .+?(?=^Cost: )", text, re.M | re.S)
  assert expected, "what to expect"
  sources = r"\(measured, docs/RESULTS\.md\)|the paper's numbers?\b|not run by this\s+project"
  assert re.search(sources, expected[0]), "who measured it"
  assert re.search(r"^Cost: .*\d.* (minutes|hours|FLOPs)", text, re.M), "time or operations"


@pytest.mark.parametrize("name", [name for name in NAMES if "like(" in source_of(name)])
def test_a_variation_is_one_of_an_experiment_on_the_same_data(name):
  other = re.search(r'like\(\s*"([^"]+)"', source_of(name))[1]
  assert load_config(name).values["data"] == load_config(other).values["data"]


@pytest.mark.parametrize("name", NAMES)
def test_files_import_nothing_but_catgen_and_configdict(name):
  imports = re.findall(r"^(?:from|import) (\w+)", source_of(name), re.M)
  assert set(imports) <= {"catgen", "ml_collections", "typing"}


@pytest.mark.parametrize("name", [*NAMES, *(f"label_maps:{row}" for row in ROWS)])
def test_every_line_differs_from_the_default(name):
  spelled = read_file(name)
  whole = resolve(spelled)
  for key in flat(spelled):
    if not key.endswith("kind"):
      assert resolve(without(spelled, key.split("."))) != whole, key


def without(section, path):
  inner = {key: value for key, value in section.items() if key != path[0]}
  return inner if len(path) == 1 else {**inner, path[0]: without(section[path[0]], path[1:])}


def test_every_row_of_street_scenes_can_train_on_other_maps():
  for row in ROWS:
    ours, theirs = load_config(f"label_maps:{row}").values, load_config(f"street_scenes/{row}").values
    assert ours.pop("data")["kind"] == "label_maps"
    del theirs["data"]
    assert ours == theirs


def event_of(config):
  event = _event_of(config["data"])
  asked = model_takes(config["model"], "frequencies")
  return event._replace(frequencies=(1 / event.num_classes,) * event.num_classes) if asked else event


def _event_of(data):
  if data["kind"] in MAP_CLASSES:
    return EventSpec(tuple(data["shape"] or (32, 64)), MAP_CLASSES[data["kind"]])
  if data["kind"] == "ring":
    return EventSpec((2,), 91)
  if data["kind"] == "sets":
    return EventSpec((data["size"],), data["size"])
  if data["kind"] == "table_file":
    return EventSpec((5,), 65, sizes=(65, 2, 3, 20, 7))
  return EventSpec((data["length"] or 128,), 256 if data.get("as_bytes") else CLASSES[data["kind"]])


def abstract_batch(config):
  x = jax.ShapeDtypeStruct((config["training"]["batch_size"], *event_of(config).shape), jnp.int32)
  valid, index = jax.ShapeDtypeStruct(x.shape, bool), jax.ShapeDtypeStruct(x.shape[:1], jnp.int32)
  return Batch(x, valid, index)


def marked(name):
  """A flow's step takes seconds to trace, forty couplings twenty: of rows alike the default suite has one or two."""
  coupling = name.endswith("coupling") and name != "text8_head/argmax_coupling"
  alike = (
    "accelerator/",
    "paper/shuffling",  # as the small one of sets, with couplings
    "paper/text8_categorical_nf",  # as text8_head/categorical_nf
    "paper/text8_af_af",  # as text8_head/af_af
    "paper/text8_iaf_scf",
    "text8_head/af_scf",
    "text8_head/iaf_scf",
    "sets/summation",
    "label_maps",  # as quickstart_maps
    "table",  # as array_file
    "array_file",  # as quickstart, of any integers
    "paper/text8_multinomial",  # as quickstart, of more layers
    "paper/cityscapes_",  # the diffusion model as quickstart_maps
    "paper/enwik8",
    "paper/text8_argmax_base",
    "paper/text8_discrete_flow",
    "labelled/",  # as street_scenes/absorbing
    "ring/argmax",
    "ring/autoregressive",
    "ring/diffusion",
    "street_scenes/",  # of its flows tests/models/test_map_sections.py traces parameters, tests/flows all else in small
    "text8_head/argmax_autoregressive",
    "text8_head/denoising_flow",  # as on the ring
    "text8_head/diffusion",  # as quickstart
    "text8_head/discrete_flow",
    "text8_head/genmd4",  # its family's steps are traced in tests/models and tests/contracts
    "text8_head/masked_continuous",  # as quickstart_absorbing
    "text8_head/hybrid",  # as text8_head/diffusion
    "text8_head/unigram",
    "text8_head/deep_transformer",
    "paper/enwik8_deep_transformer_12",
    "paper/text8_deep_transformer_12",  # as of 64 layers, which are scanned
    "paper/text8_transformer_xl_12",  # as of 24 layers, which are scanned
    "text8_head/transformer_xl",
    "text8_head/uniform",
    "text8_head/variational",
  )
  return pytest.param(name, marks=pytest.mark.slow if coupling or name.startswith(alike) else ())


@functools.cache
def of_the_step(name):
  """Returns all that the step of a configuration depends on."""
  config = load_config(name).values
  return config["model"], config["optimizer"], config["training"], event_of(config)


@functools.cache
def traced(name):
  """Returns the shapes of the parameters' first updates, and the rate of the first step."""
  config = load_config(name).values
  model = make_model(config["model"], event_of(config))
  optimizer, rate = make_training_optimizer(config)
  batch, streams = abstract_batch(config), config["training"]["streams"]

  def step(batch, key):
    params, state = model.init(batch, key)
    keys = example_keys(key, batch.index)
    strata = example_strata(key, batch.index, batch.x.shape[0])

    def raised(params):
      how = {"state": state, "train": True, "strata": strata}
      if streams:
        memory = model.carry.empty(params, len(batch.x))
        return model.carry.bound(params, batch, memory, keys, **how, options=ReadOptions())[0].nats.sum()
      bound = model.bound(params, batch, keys, **how)
      return (bound.nats if bound.objective is None else bound.objective).sum()

    return optimizer.update(jax.grad(raised)(params), optimizer.init(params), params)[0]

  key = jax.eval_shape(lambda: jax.random.key(0))
  return jax.eval_shape(step, batch, key), float(rate(0))


@pytest.mark.parametrize("name", map(marked, NAMES))
def test_a_full_size_step_can_be_traced(name):
  same = of_the_step(name)
  updates, rate = traced(next(other for other in NAMES if of_the_step(other) == same))
  assert jax.tree.leaves(updates)
  assert rate >= 0


@pytest.mark.parametrize(
  ("name", "num_parameters"),
  [("text8_multinomial", 51_545_116), ("enwik8_multinomial", 51_756_289), ("cityscapes_multinomial", 29_839_184)],
)
def test_the_papers_networks_have_the_papers_parameters(name, num_parameters):
  config = load_config(f"paper/{name}").values
  model = make_model(config["model"], event_of(config))
  params, _ = jax.eval_shape(model.init, abstract_batch(config), jax.eval_shape(lambda: jax.random.key(0)))
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == num_parameters


@pytest.mark.parametrize(("layers", "trained", "used"), [(12, 44_257_792, 41_237_248), (64, 235_471_360, 218_792_704)])
def test_the_deep_transformers_have_the_papers_parameters_and_a_start_token(layers, trained, used):
  """Published are 44 M and 235 M, of which 41 M and 219 M are not heads of training alone; Al-Rfou et al. (2019)."""
  config = load_config(f"paper/text8_deep_transformer_{layers}").values
  assert event_of(load_config(f"paper/enwik8_deep_transformer_{layers}").values) == event_of(config)  # both of bytes
  model = make_model(config["model"], event_of(config))
  params, _ = jax.eval_shape(model.init, abstract_batch(config), jax.eval_shape(lambda: jax.random.key(0)))
  assert sum(leaf.size for leaf in jax.tree.leaves(params)) == trained
  assert sum(leaf.size for leaf in jax.tree.leaves(params["stack"])) == used
  width, hidden, symbols = 512, 2048, 256
  a_layer = 4 * (width**2 + width) + 2 * width * hidden + hidden + width + 4 * width + 512 * width
  head = (width + 1) * symbols
  assert used == layers * a_layer + (symbols + 1) * width + head
  assert trained == used + (2 * layers - 1) * head  # separate for every layer and target


@pytest.mark.parametrize(
  ("layers", "text", "of_205_bytes"), [(12, 40_964_635, 41_055_949), (24, 277_050_395, 277_232_845)]
)
def test_transformer_xl_has_the_published_codes_parameters(layers, text, of_205_bytes):
  """The published code's enwik8 has the 205 bytes that occur, ours all 256: a row of the table and a bias for each."""

  def number(name, num_classes=None):
    config = load_config(f"paper/{name}_transformer_xl_{layers}").values
    event = event_of(config)
    model = make_model(config["model"], event._replace(num_classes=num_classes or event.num_classes))
    params, _ = jax.eval_shape(model.init, abstract_batch(config), jax.eval_shape(lambda: jax.random.key(0)))
    return sum(leaf.size for leaf in jax.tree.leaves(params))

  width = load_config(f"paper/enwik8_transformer_xl_{layers}").values["model"]["network"]["width"]
  assert number("text8") == text
  assert number("enwik8", 205) == of_205_bytes
  assert number("enwik8") == of_205_bytes + 51 * (width + 1)


def untrained(name, batch_size, changes):
  """Returns an untrained model of a paper config, parameters, state, and a batch of random categories."""
  config = load_config(f"paper/{name}", changes).values
  event = event_of(config)
  model = make_model(config["model"], event)
  x = np.random.default_rng(0).integers(0, event.num_classes, (batch_size, *event.shape)).astype(np.int32)
  batch = jax.device_put(Batch(x, np.ones(x.shape, bool), np.arange(batch_size, dtype=np.int32)))
  return model, *jax.jit(model.init)(batch, jax.random.key(0)), batch


LOG2_K = [("text8_multinomial", 4.7549), ("enwik8_multinomial", 8.0)]


def bits(nats):
  return -np.asarray(nats, np.float64) / np.log(2)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected"), LOG2_K)
def test_an_untrained_paper_network_needs_log2_k_bits_by_one_step_per_example(name, expected):
  model, params, state, batch = untrained(name, 16, {"model.network.num_layers": 1, "model.network.width": 128})

  @functools.partial(jax.jit, compiler_options=OPTIMIZED)
  def bound(params, key):
    keys, strata = example_keys(key, batch.index), example_strata(key, batch.index, 16)
    return model.bound(params, batch, keys, state=state, train=False, strata=strata).nats

  replicates = [bits(bound(params, jax.random.key(r))).mean() / batch.x.shape[1] for r in range(5)]
  error = np.std(replicates, ddof=1) / np.sqrt(len(replicates))
  assert abs(np.mean(replicates) - expected) < 4 * error


@pytest.mark.slow
@pytest.mark.parametrize(("name", "expected", "num_calls"), [(*LOG2_K[0], 16), (*LOG2_K[1], 40)])
def test_and_to_a_thousandth_by_the_full_sum_of_a_tiny_schedule(name, expected, num_calls):
  network = {"kind": "local_linear_transformer", "width": 8, "num_layers": 1, "num_heads": 2, "window": 8}
  model, params, state, batch = untrained(name, 256, {"model.num_steps": 1, "model.network": network})

  @functools.partial(jax.jit, compiler_options=OPTIMIZED)
  def full(params, key):
    return model.full_bound(params, batch, example_keys(key, batch.index), state=state)[0].nats

  total = np.concatenate([bits(full(params, jax.random.key(r))) / batch.x.shape[1] for r in range(num_calls)])
  assert 3 * total.std() / np.sqrt(total.size) < 1.1e-3  # or the next line would be luck
  assert abs(total.mean() - expected) < 1e-3


@pytest.mark.parametrize("name", [name for name in NAMES if docstring_of(name).startswith("Masked diffusion")])
def test_what_is_called_masked_diffusion_is(name):
  assert load_config(name, {}).values["model"]["process"]["kind"] == "absorbing"

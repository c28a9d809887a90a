"""Programs compiled for accelerators that are not there: what they hold and exchange stays within bounds."""

import importlib.util
import json
import math

import jax
import pytest

from catgen.config import load_config, make_stand_in
from catgen.interfaces import InputError
from catgen.models import MODELS
from catgen.runs import memory
from catgen.runs.dry_run import describe, dry_run
from catgen.runs.experiment import make_experiment
from catgen.training.collectives import by_kind
from tests.tiny_run import tiny_config

TARGETS = {"tpu:v5e:2x2": "libtpu", "cuda:h100:4": "jax_cuda12_plugin"}
TEXT = {"data": "text8", "data.length": "32", "training.batch_size": "16"}
SMALL = {"training.batch_size": "16"}
MAPS = {"data.shape": "(16, 32)", "training.batch_size": "8"}
FAMILIES = {
  "multinomial diffusion": ("quickstart", TEXT),
  "masked diffusion, scanned": ("quickstart_absorbing", {**TEXT, "model.network.scan_layers": "True"}),
  "autoregressive": ("quickstart_autoregressive", TEXT),
  "block diffusion": ("quickstart_autoregressive", {**TEXT, "model.kind": "block_diffusion"}),
  "argmax flow": ("quickstart_argmax", TEXT),
  "diffusion of maps": ("quickstart_maps", MAPS),
  "dequantized flow of maps": ("street_scenes/round_uniform", {**MAPS, "data.shape": "(32, 32)"}),
  "learned rates of masking": ("text8_head/genmd4", {**TEXT, "model.network.num_layers": "1"}),
  "latent model with an emission": ("sets/shuffling", {**SMALL, "model.density.conditioner.lstm_width": "128"}),
  "discrete flow": ("ring/discrete_flow", SMALL),
  "denoising flow": ("ring/denoising_flow", SMALL),
}


def on(target):
  missing = not importlib.util.find_spec(TARGETS[target])
  return pytest.param(target, marks=pytest.mark.skipif(missing, reason=f"{TARGETS[target]} is not installed"))


targets = pytest.mark.parametrize("topology", [on(target) for target in TARGETS])


def in_tiles(config, found):
  """Returns the bytes of a state on one TPU, which fills the last two axes of arrays up to tiles of 8 x 128."""
  made = make_experiment(config, make_stand_in(config["data"]), found.topology.devices)
  total = 0
  for leaf in jax.tree.leaves(made.target):
    *others, rows, columns = (1, 1, *leaf.sharding.shard_shape(leaf.shape))
    rows += -rows % 8 if leaf.ndim > 1 else 0
    total += math.prod(others) * rows * (columns + -columns % 128) * leaf.dtype.itemsize
  return total


def test_every_family_is_compiled():
  assert {load_config(*each).values["model"]["kind"] for each in FAMILIES.values()} == set(MODELS)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
@targets
def test_a_step_of_every_family_moves_what_parameters_and_gradients_explain(family, topology):
  name, changes = FAMILIES[family]
  config = load_config(name, {**changes, "mesh.data": "2", "mesh.fsdp": "2"}).values
  found = dry_run(config, topology=topology)
  assert found.exit_code == 0
  assert found.warnings == ()
  made, step = found.step.compiled, found.step
  # Parameters and moments are spread over two devices; the program keeps its arguments where they are.
  kept = step.state_bytes if topology.startswith("cuda") else in_tiles(config, found)
  assert made.argument_bytes <= 1.1 * (kept + step.batch_bytes) + 2**16
  assert made.result_bytes < 2**16
  assert made.peak_bytes < 2**30
  assert by_kind(made.collectives)  # of which no warning says that they move more than is explained
  assert found.least.products > 0
  assert found.least.memory > step.state_bytes / found.topology.accelerator.bandwidth  # it is read and written


@pytest.mark.slow
@targets
def test_copies_of_a_model_exchange_the_gradient_and_nothing_else(topology):
  found = dry_run(load_config("quickstart", {**TEXT, "optimizer": "adam"}).values, topology=topology)
  totals = by_kind(found.step.compiled.collectives)
  assert set(totals) == {"all-reduce"}
  gradient = 4 * found.step.num_parameters
  assert gradient <= totals["all-reduce"].num_bytes <= 1.01 * gradient + 2**10
  assert totals["all-reduce"].sent_bytes == pytest.approx(totals["all-reduce"].num_bytes * 1.5)
  assert found.explained == pytest.approx(1.5 * gradient)


@pytest.mark.slow
@pytest.mark.parametrize("program", ["evaluate", "sample"])
@targets
def test_evaluators_and_samplers_of_copies_exchange_almost_nothing(program, topology):
  found = dry_run(
    load_config("quickstart", {**TEXT, "model.num_steps": "20"}).values, topology=topology, program=program
  )
  assert found.warnings == ()
  assert sum(each.num_bytes for each in found.step.compiled.collectives) < 2**16


@pytest.mark.slow
@targets
def test_what_does_not_fit_is_said_with_remedies(topology):
  large = {"data": "text8", "data.length": "4096", "training.batch_size": "2048", "model.network.num_layers": "1"}
  config = load_config("quickstart", large).values
  if topology.startswith("tpu"):
    with pytest.raises(InputError, match=r"^out of memory.*GiB are needed on a device that has 15.75 GiB; .*fsdp=2"):
      dry_run(config, topology=topology)
  else:
    found = dry_run(config, topology=topology)
    assert found.exit_code == 2
    assert "warning: out of memory: " in describe(found)


@pytest.mark.parametrize(
  ("message", "needed"),
  [
    ("the total memory required for HLO temporaries (24.30G) exceeds available HBM (15.75G).", "24.3"),
    ("Ran out of memory in memory space hbm. Used 22.47G of 15.75G hbm. Exceeded it by 6.72G.", "22.47"),
  ],
)
def test_what_compilers_for_tpus_say_of_too_little_memory_becomes_a_line(message, needed):
  said = rf"^out of memory: {needed} GiB are needed on a device that has 15.75 GiB. Try "
  with pytest.raises(InputError, match=said), memory.explained():
    raise jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {message}")


def test_programs_are_traced_with_their_operations_and_written_as_json(text, tmp_path):
  changes = {"training.batch_size": 8, "evaluation.batch_size": 5, "sampling.batch_size": 8, "sampling.num_steps": 5}
  config, path = tiny_config(text, **changes), str(tmp_path / "cost.json")
  step, bound, sampler = (dry_run(config, program=name, output=path) for name in ("train", "evaluate", "sample"))
  assert step.batch_size == bound.batch_size == sampler.batch_size == 8  # what all eight devices can share
  # The loss goes back through all but the first layer's input; the sampler calls the network five times.
  assert 2.5 * bound.step.flops < step.step.flops < 3.5 * bound.step.flops
  assert 4.5 * bound.step.flops < sampler.step.flops < 6.5 * bound.step.flops
  record = json.loads((tmp_path / "cost.json").read_text())
  assert (record["program"], record["flops"], record["jax"]) == ("sample", sampler.step.flops_by_dtype, jax.__version__)
  assert f"written to {path}" in describe(sampler)
  assert ["steps  " in describe(found) for found in (step, bound, sampler)] == [True, False, False]

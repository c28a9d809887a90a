"""Follows the recipes of WORKSPACE.md in a copy of the project: the files and lines that they name are enough."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap
from typing import NamedTuple

import pytest

from tests.compiling import cached, xla_flags

ROOT = pathlib.Path(__file__).parent.parent
COPIED = ("catgen", "launch", "configs", "tests")


class Addition(NamedTuple):
  """What one recipe adds: a file for each that it names, and what stands in the line that it names."""

  files: tuple[str, ...]
  imported: str = ""
  line: str = ""


COINS = '''
"""Fair coins that are tossed twice: every second one shows what the one before it did."""

import numpy as np

from catgen.data.arrays import array_source
from catgen.sources import DataSource


def coins(pairs: int = 4, number: int = 64) -> DataSource:
  """Returns rows of coins.

  Args:
    pairs: of equal coins in a row.
    number: of rows, of which an eighth each are for validation and for the test.
  """
  tosses = np.random.default_rng(0).integers(0, 2, (number, pairs))
  held_out = number // 8
  splits = (number - 2 * held_out, held_out, held_out)
  return array_source({"": np.repeat(tosses, 2, axis=1)}, "coins", 2, splits)
'''

AVERAGE = '''
"""A trunk that adds the average of all positions to each."""

import jax.numpy as jnp
from flax import nnx

from catgen.networks.parts.linear import Linear
from catgen.networks.trunk import Abilities


class Average(nnx.Module):
  """h + W mean(h).

  Args:
    width: features of a position.
  """

  abilities = Abilities()

  def __init__(self, ends, *, rngs, width: int = 8):
    self.num_inputs = self.num_outputs = width
    self.read_in = self.head = None
    self.mix = Linear(width, width, rngs=rngs)

  def __call__(self, h, conditions):
    """See `Trunk`."""
    valid = conditions.valid
    axes = tuple(range(1, h.ndim - 1))
    seen = h if valid is None else jnp.where(valid[..., None], h, 0.0)
    count = h[0, ..., 0].size if valid is None else valid.sum(axis=axes).reshape(-1, *[1] * (h.ndim - 1))
    return h + self.mix(seen.sum(axis=axes, keepdims=True) / count)
'''

SCALING = '''
"""A flow layer that scales all channels by one learned number."""

import jax.numpy as jnp
from flax import nnx

from catgen.flows.layer import Layer


class Scaling(Layer):
  """v = exp(s) z."""

  def __init__(self):
    self.log_scale = nnx.Param(jnp.zeros(()))

  def forward(self, z, conditions):
    """See `Layer.forward`."""
    return z * jnp.exp(self.log_scale[...]), jnp.full(z.shape[:-1], z.shape[-1]) * self.log_scale[...]

  def inverse(self, v, conditions):
    """See `Layer.inverse`."""
    return v / jnp.exp(self.log_scale[...]), jnp.full(v.shape[:-1], v.shape[-1]) * -self.log_scale[...]
'''

SCALED = '''
"""A normal distribution, scaled."""

from catgen.flows.densities.density import Density
from catgen.flows.layers.scaling import Scaling
from catgen.flows.layers.chain import Chain


def scaled(num_channels, event_shape, given=(), *, rngs, num_layers: int = 1):
  """Returns a scaled normal.

  Args:
    num_layers: scalings.
  """
  return Density(Chain([Scaling() for _ in range(num_layers)]), num_channels, event_shape)
'''

LAZY = '''
"""The uniform process under another name."""

from catgen.processes import uniform
from catgen.processes.process import Process


def lazy(num_classes: int, /) -> Process:
  """Returns the process."""
  return uniform.process(num_classes)
'''

INDEPENDENT = '''
"""Independent positions with one learned distribution."""

import jax
import jax.numpy as jnp
import numpy as np

from catgen.distributions import categorical
from catgen.events import sum_valid
from catgen.interfaces import Bound, Model, Samples


def independent(event, *, scale: float = 0.1) -> Model:
  """Returns the family.

  Args:
    scale: standard deviation of the first logits.
  """

  def log_prob(params, batch, *, state):
    logits = jnp.broadcast_to(params["logits"], (*batch.x.shape, event.num_classes))
    return sum_valid(categorical.log_prob(logits, batch.x), batch.valid)

  def bound(params, batch, keys, *, state, train, strata=None):
    nats = log_prob(params, batch, state=state)
    return Bound(nats, {"log_prob": nats})

  def sample(params, keys, *, given=None, state, options):
    logits = jnp.broadcast_to(params["logits"], (*event.shape, event.num_classes))
    x = jax.vmap(lambda key: categorical.sample(key, logits))(keys)
    return Samples(x, jnp.ones(x.shape, bool))

  return Model(
    event=event,
    init=lambda batch, key: ({"logits": scale * jax.random.normal(key, (event.num_classes,))}, {}),
    bound=bound,
    sample=sample,
    log_prob=log_prob,
  )
'''

COUNT = '''
"""How many examples a split has."""

from typing import Any, NamedTuple

from catgen.config import make_source


class Counted(NamedTuple):
  """A number of examples."""

  number: int
  split: str


def count(config: dict[str, Any], *, split: str = "train") -> Counted:
  """Returns the number of examples.

  Args:
    config: resolved.
    split: train, validation or test.
  """
  return Counted(make_source(config["data"]).splits[split].num_examples, split)


def describe(counted: Counted) -> str:
  """Returns a line."""
  return f"{counted.number} examples of {counted.split}"
'''

COUNT_COMMAND = '''
"""Counts examples."""

from catgen.runs import count
from catgen.runs.command import Command

from . import cli


def main(words=None):
  """Returns the exit code."""
  return cli.main(__doc__, words, Command(count.count, count.describe))
'''

EXPERIMENT = '''
"""Two coins."""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  return ConfigDict(
    {
      "data": {"kind": "coins", "pairs": 2},
      "model": {"kind": "independent"},
      "training": {"num_steps": 3, "batch_size": 4, "validate_every": 3, "report_every": 1},
    }
  )
'''

RECIPES = {
  "a data set": Addition((COINS,), "from catgen.data.sets.coins import coins", '"coins": Kind(coins),'),
  "a trunk": Addition((AVERAGE,), "from catgen.networks.trunks.average import Average", '"average": Kind(Average),'),
  "a flow layer": Addition(
    (SCALING,), "from catgen.flows.layers.scaling import Scaling", '"scaling": Member(lambda rngs: Scaling()),'
  ),
  "a density": Addition((SCALED,), "from catgen.flows.densities.scaled import scaled", '"scaled": Kind(scaled),'),
  "a process": Addition((LAZY,), "from catgen.processes.lazy import lazy", '"lazy": Kind(lazy),'),
  "a family": Addition(
    (INDEPENDENT,), "from catgen.models.independent import independent", '"independent": Kind(independent),'
  ),
  "a command": Addition((COUNT, COUNT_COMMAND), line='"count",'),
  "an experiment": Addition((EXPERIMENT,)),
}
NAMES = {
  "a data set": "coins",
  "a trunk": "average",
  "a flow layer": "scaling",
  "a density": "scaled",
  "a process": "lazy",
  "a family": "independent",
  "a command": "count",
  "an experiment": "coins",
}


def recipes() -> dict[str, str]:
  """Returns what WORKSPACE.md says of each thing to add."""
  section = (ROOT / "WORKSPACE.md").read_text().split("## To add ...")[1].split("\n## ")[0]
  return {
    name: " ".join(text.split()) for name, text in re.findall(r"- \*\*(.+?)\*\*: (.*?)(?=\n- \*\*|\n\n)", section, re.S)
  }


def follow(text: str, name: str, addition: Addition, folder: pathlib.Path) -> None:
  """Makes the new files and writes the lines that a recipe names, and nothing else."""
  paths = re.findall(r"new file `([^`]+)`", text)
  assert len(paths) == len(addition.files)
  for path, content in zip(paths, addition.files, strict=True):
    (folder / path.replace("NAME", name)).write_text(content.lstrip())
  for registry, path in re.findall(r"line in `(\w+)` of `([^`]+)`", text):
    file = folder / path
    source = file.read_text()
    begins = re.search(rf"^{registry}\b.*[{{(]$", source, re.MULTILINE)
    assert begins, f"{path} has no {registry} over several lines"
    source = f"{source[: begins.end()]}\n  {addition.line}{source[begins.end() :]}"
    first_import = re.search(r"^(from|import) ", source, re.MULTILINE)
    file.write_text(f"{source[: first_import.start()]}{addition.imported}\n{source[first_import.start() :]}")


@pytest.fixture(scope="module")
def house(tmp_path_factory):
  """A copy of the project to which everything was added that WORKSPACE.md has a recipe for."""
  folder = tmp_path_factory.mktemp("house")
  for name in COPIED:
    shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
  for what, text in recipes().items():
    follow(text, NAMES[what], RECIPES[what], folder)
  return folder


USES = """
  import jax
  import numpy as np
  from catgen.config import load_config, make_model, make_source
  from catgen.interfaces import SampleOptions
  from launch.main import main

  assert main(["count", "--config=coins", "--split=test"]) == 0
  assert main(["train", "--config=coins", "--workdir=runs/own"]) == 0
  assert main(["evaluate", "--workdir=runs/own"]) == 0
  assert main(["sample", "--workdir=runs/own", "--num_samples=2"]) == 0

  diffusion = {"model": "diffusion", "model.process": "lazy", "model.num_steps": 4, "model.network": "average"}
  flow = {"model": "argmax_flow", "model.encoder": "average", "model.density": "scaled"}
  for overrides in (diffusion, flow):
    config = load_config("coins", overrides).values
    source, keys = make_source(config["data"]), jax.random.split(jax.random.key(0), 4)
    model, batch = make_model(config["model"], source.event), source.splits["train"].examples(np.arange(4))

    @jax.jit
    def work():
      params, state = model.init(batch, jax.random.key(1))
      slope = jax.grad(lambda params: model.bound(params, batch, keys, state=state, train=True).nats.sum())(params)
      return slope, model.sample(params, keys, state=state, options=SampleOptions()).x

    slope, x = work()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(slope))
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(slope))
    assert x.shape == batch.x.shape

  from tests.flows.layers import LAYERS
  from flax import nnx
  from catgen.networks.conditions import NO_CONDITIONS

  layer = LAYERS["scaling"].make(nnx.Rngs(0))
  layer.log_scale[...] = 0.5
  z = jax.random.normal(jax.random.key(0), (2, 4, 3))
  v, log_det = layer.forward(z, NO_CONDITIONS)
  np.testing.assert_allclose(layer.inverse(v, NO_CONDITIONS)[0], z, rtol=1e-6)
  np.testing.assert_allclose(log_det, 1.5)
  print("all of it runs")
"""


def test_every_recipe_is_followed():
  assert recipes().keys() == RECIPES.keys() == NAMES.keys()


@pytest.mark.slow
def test_what_the_recipes_add_runs(house):
  environment = {**os.environ, **cached(), "XLA_FLAGS": xla_flags(1), "PYTHONPATH": str(house)}
  done = subprocess.run(
    [sys.executable, "-c", textwrap.dedent(USES)], cwd=house, env=environment, capture_output=True, text=True
  )
  assert done.returncode == 0, done.stderr[-3000:]
  assert "8 examples of test" in done.stdout
  assert "all of it runs" in done.stdout

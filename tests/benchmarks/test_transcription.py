"""The transcriptions compute what catgen computes: logits of both networks, noise schedule and posterior."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.transcription import comparison
from catgen.interfaces import InputError
from catgen.kinds import Recipe
from catgen.models.adapter import functional
from catgen.networks import TRUNKS
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Denoiser
from catgen.processes import PROCESSES, SCHEDULES
from catgen.processes.schedules import levels, spans

needs_pytorch = pytest.mark.skipif(
  not importlib.util.find_spec("torch"), reason="PyTorch is not installed, and catgen does not need it"
)
SIZES = {
  "local_linear_transformer": ({"width": 32, "num_layers": 2, "num_heads": 4, "window": 8}, (32,), 5),
  "linear_attention_unet": ({"width": 8, "multipliers": (1, 2, 4)}, (8, 16), 4),
}


def transcription(kind, sizes, shape, num_classes):
  from benchmarks.transcription.text import TextNetwork
  from benchmarks.transcription.unet import UNet

  if kind == "linear_attention_unet":
    return UNet(num_classes, **sizes).eval()
  return TextNetwork(num_classes, *shape, **sizes).eval()


@pytest.mark.slow
@needs_pytorch
@pytest.mark.parametrize("kind", SIZES)
def test_the_same_parameters_give_the_same_logits(kind):
  import torch

  from benchmarks.transcription.copying import copy_parameters

  sizes, shape, num_classes = SIZES[kind]
  random = np.random.default_rng(0)
  module = functional(
    lambda rngs: Denoiser(Recipe(TRUNKS[kind].make, sizes), shape, num_classes, num_classes, (), rngs=rngs)
  )
  params = jax.tree.map(
    lambda p: jnp.asarray(p + 0.1 * random.standard_normal(p.shape), jnp.float32), module.init(jax.random.key(0))
  )
  params["stack"]["trunk"]["head"] = jax.tree.map(  # starts at zero in one of them
    lambda p: jnp.asarray(random.standard_normal(p.shape), jnp.float32), params["stack"]["trunk"]["head"]
  )
  network = transcription(kind, sizes, shape, num_classes)
  copy_parameters(params, network)
  x, time = random.integers(0, num_classes, (2, *shape)), np.array([0.1, 0.6], np.float32)
  logits = np.asarray(module.apply(params, jnp.asarray(x, jnp.int32), Conditions(time=jnp.asarray(time))))
  assert logits.std() > 0.3
  with torch.no_grad():
    np.testing.assert_allclose(network(torch.tensor(x), torch.tensor(time)).numpy(), logits, atol=1e-4)


@pytest.mark.slow
@needs_pytorch
def test_the_posterior_of_every_step_is_that_of_the_uniform_process():
  import torch

  from benchmarks.transcription.diffusion import Diffusion, step_factors

  num_steps, num_classes = 50, 6
  table = SCHEDULES["paper_cosine"]()().table(num_steps)
  np.testing.assert_allclose(np.cumprod(step_factors(num_steps)), levels(table).keep[1:], rtol=1e-5)
  random = np.random.default_rng(0)
  x_t = random.integers(0, num_classes, (num_steps, 3))
  prediction = np.log(random.dirichlet(np.ones(num_classes), (num_steps, 3))).astype(np.float32)
  span = spans(table, np.arange(num_steps + 1))
  process = PROCESSES["uniform"]()(num_classes)
  expected = process.predictive(jnp.asarray(x_t, jnp.int32), jnp.asarray(prediction), jax.tree.map(jnp.asarray, span))
  model = Diffusion(torch.nn.Identity(), num_classes, num_steps)
  found = model.posterior(torch.tensor(prediction), model._one_hot(torch.tensor(x_t)), torch.arange(num_steps))
  np.testing.assert_allclose(found.exp().numpy(), np.exp(np.asarray(expected)), atol=1e-5)


def test_a_missing_pytorch_is_one_line(monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
  with pytest.raises(InputError, match="PyTorch is not installed"):
    comparison.compare(subjects=("text",))


def test_an_unknown_subject_is_one_line():
  with pytest.raises(InputError, match=r"no subject 'flows'; the subjects: text, unet"):
    comparison.compare(subjects=("flows",))

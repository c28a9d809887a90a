"""Likelihoods where products in float32 keep only the digits of bfloat16, as on a TPU, are hardly biased."""

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.flows.densities import DENSITIES
from catgen.interfaces import EventSpec
from catgen.keys import example_keys
from catgen.models import MODELS
from catgen.models.emission import ENCODINGS
from catgen.processes import PROCESSES, SCHEDULES
from tests.contracts.parts import CONDITIONERS, density, encoder, multi_scale, transformer, transformer_xl, unet
from tests.low_precision import rounded
from tests.parameters import filled

TEXT, MAPS = EventSpec((8,), 27), EventSpec((8, 8), 5)
NUMBER = 256  # examples; the bias is measured to some 1e-5 bits


def diffusion(event, network, process, schedule):
  made = {"process": PROCESSES[process](), "schedule": SCHEDULES[schedule](), "num_steps": 50}
  return MODELS["diffusion"].make(event=event, network=network, **made)


def argmax_flow(event, density, kind="per_position"):
  return MODELS["argmax_flow"].make(event=event, base=2, encoder=encoder(kind), density=density)


MEMBERS = {
  "coupling": lambda: argmax_flow(TEXT, density("coupling")),  # multiplies by matrices whose determinants it counts
  "autoregressive": lambda: MODELS["autoregressive"].make(event=TEXT, network=transformer()),
  "transformer_xl": lambda: MODELS["autoregressive"].make(event=TEXT, network=transformer_xl()),
  "uniform": lambda: diffusion(TEXT, transformer(), "uniform", "cosine"),
  "absorbing": lambda: diffusion(MAPS, unet(), "absorbing", "linear"),
  "autoregressive_flow": lambda: argmax_flow(TEXT, density("autoregressive")),
  "map_flow": lambda: argmax_flow(MAPS, multi_scale(num_levels=2), "densenet"),
  "emission": lambda: MODELS["latent_emission"].make(
    event=TEXT, encoding=ENCODINGS["mixture"](), density=density("autoregressive", base="logistic")
  ),
  "emission_recurrent": lambda: MODELS["latent_emission"].make(
    event=TEXT,
    encoding=ENCODINGS["recurrent"](num_channels=4, width=16, lstm_width=16),
    density=DENSITIES["recurrent"](lstm_width=16, start_width=8, hidden_width=16),
  ),
  "dequantized": lambda: MODELS["dequantized_flow"].make(event=TEXT, encoder=None, density=density("coupling")),
  "learned_masking": lambda: MODELS["learned_masking"].make(event=TEXT, network=transformer()),
  "block_diffusion": lambda: MODELS["block_diffusion"].make(event=TEXT, network=transformer(), block_length=4),
  "discrete_flow": lambda: MODELS["discrete_flow"].make(
    event=TEXT, conditioner=CONDITIONERS["transformer"], base_network=CONDITIONERS["lstm"], num_layers=2
  ),
  "denoising_flow": lambda: MODELS["denoising_flow"].make(
    event=MAPS, conditioner=CONDITIONERS["densenet"], num_layers=2, num_levels=1
  ),
}
# They choose by the largest of logits: rounded ones choose otherwise now and then, for the better as for the worse.
CHOOSING = ("discrete_flow", "denoising_flow")
MARKED = [name if name == "autoregressive" else pytest.param(name, marks=pytest.mark.slow) for name in MEMBERS]


@pytest.mark.parametrize("name", MARKED)
def test_low_precision_hardly_biases_bits(name):
  model = MEMBERS[name]()
  x = np.random.default_rng(0).integers(0, model.event.num_classes, (NUMBER, *model.event.shape)).astype(np.int32)
  batch = batch_of(x)
  shapes, state = jax.eval_shape(model.init, batch, jax.random.key(0))
  state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), state)

  def bits(params, batch):
    keys = example_keys(jax.random.key(1), batch.index)
    nats = model.bound(params, batch, keys, state=state, train=False).nats
    return nats / (np.log(2) * model.event.shape[0] ** len(model.event.shape))

  params = filled(shapes, scale=0.3)
  difference = np.asarray(jax.jit(rounded(bits))(params, batch)) - np.asarray(jax.jit(bits)(params, batch))
  assert 0 < np.abs(difference).max() < (0.1 if name in CHOOSING else 0.02)  # something was rounded
  assert abs(difference.mean()) < (2e-3 if name in CHOOSING else 5e-4)

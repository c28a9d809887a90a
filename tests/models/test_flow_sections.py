"""Config sections of flows: the paper's networks by their size, and one line for what does not fit."""

import math

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.config import load_config, make_model
from catgen.interfaces import EventSpec, InputError

TEXT8, ENWIK8 = EventSpec((256,), 27), EventSpec((320,), 256)


def num_parameters(name, event):
  model = make_model(load_config(f"paper/{name}").values["model"], event)
  batch = batch_of(np.zeros((2, *event.shape), np.int32))
  shapes, _ = jax.eval_shape(model.init, batch, jax.random.key(0))
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize(
  ("name", "event", "bits", "channel_features", "original"),
  [
    ("text8", TEXT8, 5, 96, 70_799_679),
    pytest.param("enwik8", ENWIK8, 8, 82, 75_561_324, marks=pytest.mark.slow),
  ],
)
def test_autoregressive_argmax_flow_has_the_originals_parameters(name, event, bits, channel_features, original):
  """Less the second bias of every LSTM gate, and the zeros of block-diagonal matrices, which are not stored here."""
  second_biases = 2 * 4 * 512 + 2 * 4 * 2048
  channel_zeros = (bits - 1) * (bits - 2) * 3 * channel_features
  output_zeros = bits * (bits - 1) * 512 * (2 + 3 * 27)
  ours = num_parameters(f"{name}_argmax_autoregressive", event)
  assert ours == original - second_biases - channel_zeros - output_zeros


@pytest.mark.parametrize(
  ("name", "event", "lstm_width", "original"),
  [("text8", TEXT8, 512, 81_154_443), pytest.param("enwik8", ENWIK8, 768, 182_005_952, marks=pytest.mark.slow)],
)
def test_coupling_argmax_flow_has_the_originals_parameters(name, event, lstm_width, original):
  second_biases = 8 * 2 * 2 * 4 * lstm_width  # layers, LSTM layers, directions, gates
  assert num_parameters(f"{name}_argmax_coupling", event) == original - second_biases


def test_categorical_nf_has_the_originals_parameters():
  """16,222,425, less the second bias of every LSTM gate and the zeros of block-diagonal matrices."""
  second_biases, channel_zeros, output_zeros = 2 * 4 * 1024, 2 * 3 * 96, 3 * 2 * 256 * (2 + 3 * 27)
  assert num_parameters("text8_categorical_nf", TEXT8) == 16_222_425 - second_biases - channel_zeros - output_zeros


@pytest.mark.parametrize(
  ("name", "event", "original"),
  [
    ("text8_af_af", TEXT8, 28_810_879),
    ("text8_iaf_scf", TEXT8, 28_584_604),
    pytest.param("enwik8_af_af", ENWIK8, 30_269_608, marks=pytest.mark.slow),
    pytest.param("enwik8_iaf_scf", ENWIK8, 30_043_333, marks=pytest.mark.slow),
  ],
)
def test_latent_flows_have_the_originals_parameters(name, event, original):
  """Less the second bias of every LSTM gate, and two symbols more in the table of 500 and the bias of logits."""
  layers = {"inference": 4, "prior": 2, "emission": 4}
  assert num_parameters(name, event) == original - sum(layers.values()) * 4 * 500 - 2 * 501


def flow(**changes):
  return {"kind": "argmax_flow", "encoder": {"kind": "lstm"}, "density": density(), **changes}


def density(**changes):
  return {"kind": "autoregressive", "conditioner": {"kind": "lstm"}, **changes}


UNIFORM = {"kind": "dequantized_flow", "noise": "uniform", "density": density()}
COUPLING = {"kind": "coupling", "num_layers": 8, "num_mixtures": 8, "conditioner": {"kind": "lstm"}}


@pytest.mark.parametrize(
  ("section", "message"),
  [
    (flow(density=density(conditioner=None)), "config.model.density.conditioner is not set"),
    (flow(density=density(conditioner={"kind": "lstm", "widht": 3})), "has no key 'widht'.*did you mean 'width'"),
    (flow(density=None), "config.model.density is not set"),
    (flow(network={"kind": "transformer"}), "no key 'network' where kind is 'argmax_flow'"),
    (flow(inverse="softmax"), "inverse 'softmax' is unknown"),
    (flow(base=1), "base is 1"),
    ({**UNIFORM, "posterior_flow": COUPLING}, "uniform noise has no posterior flow"),
    ({**UNIFORM, "noise": "variational"}, "variational noise needs an encoder"),
  ],
)
def test_mistakes_get_one_line(section, message):
  with pytest.raises(InputError, match=message):
    make_model(section, TEXT8)


@pytest.mark.parametrize("section", [flow(), UNIFORM])
def test_a_single_category_is_one_of_two_codes(section):
  """Without a base, which would be the number of categories: as with base 2, half of the latents mean nothing."""
  assert make_model(section, EventSpec((3,), 1)).latent.has_unused_codes

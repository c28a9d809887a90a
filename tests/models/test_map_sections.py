"""Config sections of maps: rows of Table 4 that differ in one thing, networks by their size, one line for mistakes."""

import math

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.config import fill, load_config, make_model
from catgen.interfaces import EventSpec, InputError
from catgen.models import MODELS

MAPS = EventSpec((32, 64), 8)
FLOWS = ("argmax_softplus", "argmax_gumbel", "argmax_gumbel_thresholding", "round_uniform", "round_variational")
QUICK = ("argmax_softplus",)  # in the default suite
SMALL = "street_scenes/"
PAPER = "paper/cityscapes_"


def section(name):
  return load_config(name).values["model"]


def num_parameters(model):
  batch = batch_of(np.zeros((2, *MAPS.shape), np.int32))
  shapes, _ = jax.eval_shape(make_model(model, MAPS).init, batch, jax.random.key(0))
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


def affine(inputs, outputs, taps=1):
  return taps * inputs * outputs + outputs


def densenet(inputs, outputs, *, width, num_layers, growth, **_):
  """A 3 x 3 convolution, layers of 1 x 1 and 3 x 3 ones of twice as many outputs, and a linear layer of everything."""
  layers = [affine(width + i * growth, growth) + affine(growth, 2 * growth, 9) for i in range(num_layers)]
  return affine(inputs, width, 9) + sum(layers) + affine(width + num_layers * growth, outputs)


def subflow(channels, conditioner, num_mixtures, context=0):
  """ActNorm, matrix, coupling of the second half given the first; mixtures have learned bounds of their scales."""
  kept, changed = channels // 2, channels - channels // 2
  outputs, bounds = (2 + 3 * num_mixtures, changed * (1 + num_mixtures)) if num_mixtures else (2, 0)
  return 2 * channels + channels**2 + densenet(kept + context, changed * outputs, **conditioner) + bounds


def channel_network(channels, features, outputs, hidden, read):
  """Every channel: a layer from features and from `read` numbers of each earlier channel, then a layer to outputs."""
  earlier = channels - 1
  return channels * (affine(features + earlier * read, hidden) + affine(hidden, outputs)) + earlier * affine(3, read)


def expected_pyramid(flow, channels):
  """A level: the pixel of the diagonal given one pixel, and two given those; three of four leave, at the end all."""
  total, outputs = 2 * channels, 2 + 3 * flow["num_mixtures"]
  for level in range(flow["num_levels"]):
    for size in (channels, 2 * channels):
      total += densenet(size, flow["num_features"], **flow["conditioner"]) + size * (1 + flow["num_mixtures"])
      total += channel_network(size, flow["num_features"], outputs, flow["hidden_width"], flow["channel_features"])
    total += 2 * channels * (4 if level == flow["num_levels"] - 1 else 3)
  return total


def expected_multi_scale(flow, channels):
  """Squeezing makes one channel four, leaving halves them; every channel that leaves has a location and a scale."""
  total = 0
  for level in range(flow["num_levels"]):
    channels *= 4 if level or flow["squeeze_first"] else 1
    total += flow["num_layers"] * subflow(channels, flow["conditioner"], flow["num_mixtures"])
    leaves = channels if level == flow["num_levels"] - 1 else channels // 2
    total, channels = total + 2 * leaves, channels - leaves
  return total


def channels_of(model):
  return 3 if model["base"] == 2 else 8


def expected_inverse(model):
  """Embedding and DenseNet of x, for locations and scales of the noise and a context; flow layers; Gumbel locations."""
  encoder, flow, context = model["encoder"], model["posterior_flow"], model["num_context"]
  channels = channels_of(model)
  outputs = channels if model.get("inverse") == "gumbel" else 2 * channels + context
  total = 8 * encoder["width"] + densenet(encoder["width"], outputs, **encoder) if encoder else 0
  if flow:
    factor = 4 if flow["squeeze"] else 1
    sizes = (channels * factor, flow["conditioner"], flow["num_mixtures"], context * factor)
    total += flow["num_layers"] * subflow(*sizes)
  return total + (channels if model.get("inverse", "softplus") != "softplus" else 0)


@pytest.mark.parametrize(
  "name",
  [SMALL + flow for flow in QUICK]
  + [pytest.param(SMALL + flow, marks=pytest.mark.slow) for flow in ("argmax_bits", *FLOWS) if flow not in QUICK]
  + [pytest.param(PAPER + flow, marks=pytest.mark.slow) for flow in FLOWS],
)
def test_flows_have_the_parameters_that_their_sections_say(name):
  model = section(name)
  expected = {"pyramid": expected_pyramid, "multi_scale": expected_multi_scale}[model["density"]["kind"]]
  assert num_parameters(model) == expected(model["density"], channels_of(model)) + expected_inverse(model)


@pytest.mark.parametrize("rows", [SMALL, PAPER])
def test_rows_of_flows_share_density_data_and_training(rows):
  configs = [load_config(f"{rows}{flow}").values for flow in FLOWS]
  for config in configs[1:]:
    assert config["model"]["density"] == configs[0]["model"]["density"]
    assert {key: config[key] for key in config if key != "model"} == {
      key: configs[0][key] for key in configs[0] if key != "model"
    }
  assert load_config(f"{rows}multinomial").values["data"] == configs[0]["data"]


def test_the_paper_squeezes_between_levels_only_and_couples_by_affine_maps():
  model = section(PAPER + "argmax_softplus")
  assert {key: model["density"][key] for key in ("num_levels", "num_layers", "num_mixtures", "squeeze_first")} == {
    "num_levels": 4,
    "num_layers": 10,
    "num_mixtures": 0,
    "squeeze_first": False,
  }
  assert (model["posterior_flow"]["num_layers"], model["posterior_flow"]["squeeze"], model["base"]) == (8, False, 0)


def test_small_rows_see_the_same_number_of_maps():
  rows = ("multinomial", "absorbing", "argmax_bits", *FLOWS)
  settings = [load_config(SMALL + row).values["training"] for row in rows]
  assert len({(each["batch_size"], each["num_steps"]) for each in settings}) == 1


def flow(**changes):
  return fill(MODELS, {**section(SMALL + "argmax_softplus"), **changes}, "model")


def multi_scale(**changes):
  return {"kind": "multi_scale", "conditioner": {"kind": "densenet"}, **changes}


@pytest.mark.parametrize(
  ("model", "event", "message"),
  [
    (flow(), EventSpec((64,), 8), "densenet needs maps"),
    (flow(), EventSpec((7, 6), 8), "even height and width"),
    (flow(), EventSpec((8, 16), 8), r"multiples of 32, not \(8, 16\).*config.model.density.num_levels to at most 3$"),
    (
      section(SMALL + "denoising_flow"),
      EventSpec((8, 16), 8),
      r"multiples of 16.*config.model.num_levels to at most 3$",
    ),
    (flow(inverse="gumbel"), MAPS, "'gumbel' has uniform noise"),
    (flow(density=multi_scale(num_levels=0)), MAPS, "at least one level"),
    (flow(density=multi_scale()), EventSpec((32, 64), 2), "two latent channels"),
    ({**flow(), "density": multi_scale(conditioner=None)}, MAPS, "conditioner is not set"),
    (section(SMALL + "multinomial"), EventSpec((30, 64), 8), "unet needs maps"),
  ],
)
def test_mistakes_get_one_line(model, event, message):
  with pytest.raises(InputError, match=message):
    make_model(model, event)

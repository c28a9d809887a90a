"""The families under contract: tiny members of every entry of MODELS, each with its exact probabilities.

Most have nine events of two positions. Most flows have three to five events of one position, where a quadrature over
all their channels costs little and is exact enough. Models of maps have the sixteen maps of 2 x 2 bits, or less.
"""

from collections.abc import Callable
from functools import partial

from catgen.flows.densities import POSTERIOR_FLOWS
from catgen.interfaces import EventSpec
from catgen.models.emission import ENCODINGS, WEIGHTINGS
from tests.contracts.making import (
  EVENT,
  MAP,
  PAIR,
  Family,
  K,
  T,
  make_autoregressive,
  make_block_diffusion,
  make_diffusion,
  make_discrete,
  make_emission,
  make_flow,
  make_learned,
)
from tests.contracts.parts import (
  CONDITIONERS,
  UNORDERED,
  deep_transformer,
  density,
  encoder,
  exchangeable,
  linear_attention_unet,
  map_posterior_flow,
  multi_scale,
  pixel_cnn,
  posterior_flow,
  pyramid,
  recurrent,
  transformer_xl,
  unet,
)

_five = partial(make_flow, event=EventSpec((1,), 5))
_three = partial(make_flow, event=EventSpec((1,), K))
_four = partial(make_flow, event=EventSpec((1,), 4))
_map = partial(make_flow, event=MAP, encoder=encoder("densenet"), density=multi_scale(squeeze_first=True, num_levels=1))


FAMILIES: dict[str, Callable[[], Family]] = {
  "uniform": partial(make_diffusion, num_steps=T, schedule="paper_cosine"),
  # Its last step is the prediction alone: from a network that is surer of what is wrong, the bound says nothing.
  "uniform_literal": partial(make_diffusion, num_steps=T, last_step="literal", scale=0.7),
  "uniform_importance": partial(make_diffusion, num_steps=T, time_sampler="importance"),
  "uniform_continuous": partial(make_diffusion, num_steps=0),
  "absorbing": partial(make_diffusion, num_steps=T, process="absorbing", schedule="linear"),
  "absorbing_continuous": partial(make_diffusion, num_steps=0, process="absorbing"),
  "absorbing_continuous_counted": partial(make_diffusion, num_steps=0, process="absorbing", time_sampler="fixed_count"),
  "learned_class_continuous": partial(make_learned, rates="class"),
  "learned_position_continuous": partial(make_learned, rates="position"),
  "prior": partial(make_diffusion, num_steps=T, process="prior"),
  "prior_continuous": partial(make_diffusion, num_steps=0, process="prior"),
  "hybrid": partial(make_diffusion, num_steps=T, process="hybrid", schedule="linear"),
  "hybrid_continuous": partial(make_diffusion, num_steps=0, process="hybrid"),
  "kernel": partial(make_diffusion, num_steps=T, process="kernel"),
  "kernel_continuous": partial(make_diffusion, num_steps=0, process="kernel"),
  "pairs": partial(make_diffusion, num_steps=T, process="pairs"),
  "pairs_continuous": partial(make_diffusion, num_steps=0, process="pairs"),
  "autoregressive": make_autoregressive,
  "autoregressive_raster": partial(make_autoregressive, event=EventSpec((2, 2), K)),
  "autoregressive_pixel_cnn": partial(make_autoregressive, event=EventSpec((2, 2), K), network=pixel_cnn, scale=2.0),
  "block_diffusion": partial(make_block_diffusion, block_length=2),
  "block_diffusion_alone": partial(make_block_diffusion, block_length=4),
  "block_diffusion_single": partial(make_block_diffusion, block_length=1, event=EVENT, scan_layers=True),
  "discrete_autoregressive": partial(make_discrete, kind="discrete_flow", num_layers=2),
  "discrete_bipartite": partial(make_discrete, kind="discrete_flow", coupling="bipartite", num_layers=2),
  "discrete_shifts": partial(make_discrete, kind="discrete_flow", trunk="lstm", scale=False),
  "discrete_in_bfloat16": partial(make_discrete, kind="discrete_flow", trunk="transformer_in_bfloat16", num_layers=2),
  "denoising_positions": partial(make_discrete, kind="denoising_flow", num_layers=2),
  "denoising_in_bfloat16": partial(make_discrete, kind="denoising_flow", trunk="transformer_in_bfloat16", num_layers=2),
  "denoising_map": partial(
    make_discrete, kind="denoising_flow", event=MAP, trunk="densenet", num_layers=2, num_levels=1, num_sorted=1
  ),
  "autoregressive_deep": partial(make_autoregressive, network=deep_transformer, auxiliary_steps=8, second_target=0.5),
  "autoregressive_xl": partial(make_autoregressive, network=transformer_xl),
  "argmax_softplus_bits": partial(make_flow, base=2, encoder=encoder("lstm")),
  "argmax_softplus_transformer": partial(
    make_flow, base=2, encoder=encoder("transformer"), density=density("coupling", "transformer", actnorm=True)
  ),
  "argmax_gumbel_bits": partial(_three, base=2, inverse="gumbel", encoder=encoder("none")),
  "argmax_gumbel_layers": partial(
    make_flow, base=2, inverse="gumbel", density=density("autoregressive", "transformer", num_layers=2, actnorm=True)
  ),
  "argmax_thresholding_bits": partial(_three, base=2, inverse="gumbel_thresholding"),
  "argmax_posterior_flow": partial(make_flow, refined=2, base=2, posterior_flow=posterior_flow(), num_context=4),
  "dequantized_uniform": partial(_three, kind="dequantized_flow", encoder=None, density=density("coupling")),
  "dequantized_variational": partial(_three, kind="dequantized_flow", noise="variational"),
  "dequantized_bits": partial(make_flow, kind="dequantized_flow", base=2, encoder=None),
  "emission_mixture": partial(
    make_emission,
    encoding=ENCODINGS["mixture"](num_channels=1, embedding_width=8, prior="frequencies"),
    density=density("autoregressive", base="logistic"),
    weighting=WEIGHTINGS["fading_emission"](),
  ),
  "emission_linear": partial(
    make_emission,
    encoding=ENCODINGS["linear"](num_channels=2, num_layers=2, embedding_width=8, hidden_width=8),
    density=exchangeable(),
    event=EventSpec((1,), K),
    log_points=18,
  ),
  "emission_learned": partial(
    make_emission,
    encoding=ENCODINGS["learned"](encoder=encoder("lstm"), decoder=encoder("lstm"), num_channels=1),
    density=density("autoregressive"),
    weighting=WEIGHTINGS["kl_warmup"](hold_steps=10, rise_steps=10),
  ),
  "emission_learned_flow": partial(
    make_emission,
    encoding=ENCODINGS["learned"](
      encoder=encoder("lstm"),
      decoder=CONDITIONERS["lstm"],
      num_channels=2,
      noise_base="logistic",
      posterior_flow=POSTERIOR_FLOWS["map_coupling"](num_layers=1, num_mixtures=2, conditioner=UNORDERED),
      num_context=2,
    ),
    density=exchangeable(),
    event=PAIR,
    log_points=19,
  ),
  "emission_map": partial(
    make_emission,
    encoding=ENCODINGS["learned"](
      encoder=encoder("densenet"),
      decoder=CONDITIONERS["densenet"],
      num_channels=2,
      posterior_flow=map_posterior_flow(),
      num_context=2,
    ),
    density=multi_scale(num_levels=1),
    event=EventSpec((1, 2), 2),
    log_points=19,
  ),
  **{
    f"emission_{time}_{channels}": partial(
      make_emission,
      encoding=ENCODINGS["recurrent"](num_channels=2, width=8, lstm_width=8, num_layers=1),
      density=recurrent(time, channels),
      event=PAIR,
      log_points=18,
    )
    for time in ("af", "iaf")
    for channels in ("af", "scf")
  },
  "emission_in_bfloat16": partial(
    make_emission,
    encoding=ENCODINGS["recurrent"](num_channels=2, width=8, lstm_width=8, num_layers=1, dtype="bfloat16"),
    density=recurrent("af", "scf", dtype="bfloat16"),
    event=PAIR,
    log_points=18,
  ),
  "argmax_softplus_classes": _four,
  "argmax_softplus_base3": partial(_five, base=3),
  "argmax_gumbel_classes": partial(_four, refined=2, inverse="gumbel"),
  "argmax_gumbel_base3": partial(_five, inverse="gumbel", base=3),
  "argmax_thresholding_classes": partial(_four, inverse="gumbel_thresholding"),
  "argmax_thresholding_base3": partial(
    _five, inverse="gumbel_thresholding", base=3, noise_base="logistic", density=density("coupling")
  ),
  "dequantized_base3": partial(_five, kind="dequantized_flow", base=3, encoder=None),
  "dequantized_variational_bits": partial(_five, kind="dequantized_flow", base=2, noise="variational"),
  "dequantized_variational_base3": partial(_five, kind="dequantized_flow", base=3, noise="variational"),
  "dequantized_normal": partial(_five, kind="dequantized_flow", noise="variational", noise_base="normal"),
  "uniform_unet": partial(make_diffusion, event=MAP, network=unet, num_steps=T),
  "uniform_linear_attention_unet": partial(make_diffusion, event=MAP, network=linear_attention_unet, num_steps=T),
  "absorbing_unet": partial(make_diffusion, event=MAP, network=unet, num_steps=T, process="absorbing"),
  "argmax_softplus_map": _map,
  "argmax_pyramid_map": partial(_map, density=pyramid()),
  "argmax_gumbel_map": partial(_map, inverse="gumbel"),
  "argmax_thresholding_map": partial(_map, inverse="gumbel_thresholding"),
  "argmax_posterior_flow_map": partial(_map, posterior_flow=map_posterior_flow(squeeze=True), num_context=2),
  "dequantized_map": partial(_map, kind="dequantized_flow", encoder=None, density=multi_scale(num_levels=2)),
  "dequantized_variational_map": partial(
    make_flow,
    kind="dequantized_flow",
    event=EventSpec((1, 2), 2),  # the mixtures of a posterior flow are too narrow for a quadrature over eight channels
    noise="variational",
    encoder=encoder("densenet"),
    density=multi_scale(num_levels=1, num_mixtures=2),
    posterior_flow=map_posterior_flow(num_mixtures=2),
    num_context=2,
  ),
}
# In the default suite each idea is seen once; `make test-slow` has them all.
SLOW = {
  "uniform_importance",  # the same model; tests/processes has its time steps
  "argmax_gumbel_bits",  # tests/surjections has its inverse
  "argmax_softplus_bits",  # tests/models/test_latent_normal.py has its integral
  "argmax_softplus_classes",
  "dequantized_uniform",  # boxes as of variational noise
  "uniform_continuous",  # tests/processes has its rates, and tests/models/test_diffusion.py the entropy that it reaches
  "absorbing_continuous",  # tests/models/test_diffusion_bounds.py has its rates, test_diffusion_sampling.py its samples
  "absorbing_continuous_counted",  # tests/models/test_counted_masks.py enumerates it
  "learned_class_continuous",  # tests/models/test_learned_masking.py enumerates them
  "learned_position_continuous",
  "emission_mixture",  # tests/models/test_emission.py has its terms and its draws
  "emission_af_af",
  "emission_af_scf",
  "emission_iaf_af",
  "emission_iaf_scf",
  "emission_linear",
  "emission_learned",
  "emission_learned_flow",
  "emission_map",
  "autoregressive_xl",
  "autoregressive_deep",  # the same family; its auxiliary predictions are seen in tests/models/test_auxiliary.py
  "block_diffusion_alone",  # one block; tests/models/test_block_diffusion.py sums over its orders
  "block_diffusion_single",  # the autoregressive model
  "prior",  # tests/processes has its laws
  "prior_continuous",
  "hybrid",  # tests/models/test_diffusion_bounds.py enumerates it
  "hybrid_continuous",
  "kernel",
  "kernel_continuous",
  "pairs",
  "pairs_continuous",
  "uniform_literal",  # tests/models/test_diffusion_bounds.py and test_diffusion_sampling.py enumerate it
  "autoregressive_raster",
  "autoregressive_pixel_cnn",
  "discrete_bipartite",
  "discrete_shifts",
  "discrete_in_bfloat16",
  "denoising_in_bfloat16",
  "emission_in_bfloat16",
  "denoising_map",
  "argmax_softplus_map",
  "uniform_unet",
  "uniform_linear_attention_unet",
  "absorbing_unet",
  "argmax_pyramid_map",
  "argmax_gumbel_map",
  "argmax_thresholding_map",
  "argmax_posterior_flow_map",
  "dequantized_map",
  "dequantized_variational_map",
  "argmax_softplus_transformer",
  "argmax_gumbel_layers",
  "argmax_posterior_flow",
  "dequantized_bits",
  "argmax_thresholding_base3",
  "argmax_gumbel_classes",
  "argmax_gumbel_base3",
  "argmax_thresholding_classes",
  "argmax_softplus_base3",
  "dequantized_base3",
  "dequantized_variational_bits",
  "dequantized_variational_base3",
  "dequantized_normal",
}
_MADE: dict[str, Family] = {}


def family(name: str) -> Family:
  if name not in _MADE:
    _MADE[name] = FAMILIES[name](name)
  return _MADE[name]

"""Small models of every family with every trunk, whose programs are compiled for several devices and looked at.

No size of theirs is a multiple of `EACH`, the number of examples of a device, so that an array with such an axis holds
examples.
"""

from collections.abc import Callable
from typing import Any

from catgen.flows.densities import DENSITIES, POSTERIOR_FLOWS
from catgen.interfaces import EventSpec, Model
from catgen.models import MODELS
from catgen.models.emission import ENCODINGS, WEIGHTINGS
from catgen.networks import TRUNKS
from catgen.processes import PROCESSES

EACH = 7
LONGER = EventSpec((9,), 5)  # whose codes but the first are not seven
TEXT, MAP, MANY = EventSpec((8,), 5), EventSpec((8, 8), 3), EventSpec((8,), 960)
_TRANSFORMER = {"width": 32, "num_layers": 2, "num_heads": 4, "time_width": 16}
_LSTM = {"width": 24, "time_width": 8, "hidden_width": 24, "lstm_width": 16, "num_layers": 2}
_SMALL = {"num_layers": 2, "hidden_width": 16, "lstm_width": 16, "start_width": 12}
_RECURRENT = ENCODINGS["recurrent"](num_channels=4, width=24, lstm_width=16)
_DEEP = {"width": 32, "num_layers": 2, "num_heads": 4, "hidden_width": 48}
_CHANNELS = {"num_mixtures": 2, "num_features": 16, "hidden_width": 8, "channel_features": 4}


def trunk(kind: str, **sizes: Any) -> Any:
  own = {"transformer": _TRANSFORMER, "lstm": _LSTM, "per_position": {"width": 32, "output_width": 16}}
  own |= {"deep_transformer": _DEEP, "transformer_xl": {**_DEEP, "memory_length": 5}}
  own |= {"densenet": {"width": 16, "num_layers": 2, "growth": 8}}
  return TRUNKS[kind](**{**own.get(kind, {}), **sizes})


def diffusion(network: Any, event: EventSpec = TEXT, **options: Any) -> Model:
  return MODELS["diffusion"].make(event=event, network=network, num_steps=6, **options)


def autoregressive(network: Any, event: EventSpec = TEXT, **options: Any) -> Model:
  return MODELS["autoregressive"].make(event=event, network=network, **options)


def block_diffusion(network: Any, event: EventSpec = TEXT) -> Model:
  return MODELS["block_diffusion"].make(event=event, network=network, block_length=4)


def argmax_flow(encoder: Any, density: Any, event: EventSpec = TEXT, **options: Any) -> Model:
  return MODELS["argmax_flow"].make(event=event, encoder=encoder, density=density, **options)


def latent_emission(encoding: Any, density: Any, event: EventSpec = TEXT, **options: Any) -> Model:
  return MODELS["latent_emission"].make(event=event, encoding=encoding, density=density, **options)


def coupling(conditioner: Any, **sizes: Any) -> Any:
  return DENSITIES["coupling"](**{"num_layers": 2, "num_mixtures": 2, "conditioner": conditioner, **sizes})


def _coupling_with_posterior() -> Model:
  flow = POSTERIOR_FLOWS["coupling"](num_layers=2, num_mixtures=2, conditioner=trunk("lstm"))
  return argmax_flow(trunk("lstm"), coupling(trunk("lstm"), actnorm=True), base=2, posterior_flow=flow, num_context=4)


MEMBERS: dict[str, Callable[[], Model]] = {
  "transformer": lambda: diffusion(trunk("transformer", dropout=0.1)),
  "transformer, scanned": lambda: diffusion(trunk("transformer", scan_layers=True)),
  "transformer, scanned, remat": lambda: diffusion(trunk("transformer", scan_layers=True, remat="full")),
  "transformer, scanned, bfloat16": lambda: diffusion(trunk("transformer", scan_layers=True, dtype="bfloat16")),
  "transformer, absorbing": lambda: diffusion(trunk("transformer"), process=PROCESSES["absorbing"]()),
  "transformer, importance": lambda: diffusion(trunk("transformer"), time_sampler="importance"),
  "transformer, learned rates": lambda: MODELS["learned_masking"].make(event=TEXT, network=trunk("transformer")),
  "transformer, pieces": lambda: diffusion(trunk("transformer", scan_layers=True), MANY),
  "causal transformer": lambda: autoregressive(trunk("transformer", conv_width=3)),
  "causal transformer, scanned": lambda: autoregressive(trunk("transformer", scan_layers=True)),
  "blocks": lambda: block_diffusion(trunk("transformer", conv_width=3, dropout=0.1)),
  "blocks, scanned, remat, bfloat16": lambda: block_diffusion(
    trunk("transformer", scan_layers=True, remat="full", dtype="bfloat16")
  ),
  "blocks, pieces": lambda: block_diffusion(trunk("transformer"), MANY),
  "causal transformer, pieces": lambda: autoregressive(trunk("transformer"), MANY),
  "deep transformer": lambda: autoregressive(
    trunk("deep_transformer", dropout=0.1), auxiliary_steps=4, second_target=0.5
  ),
  "transformer_xl": lambda: autoregressive(trunk("transformer_xl", dropout=0.1, attention_dropout=0.1)),
  "transformer_xl, scanned, bfloat16": lambda: autoregressive(
    trunk("transformer_xl", scan_layers=True, dtype="bfloat16")
  ),
  "local_linear_transformer": lambda: diffusion(
    trunk("local_linear_transformer", width=32, num_layers=2, num_heads=4, window=2)
  ),
  "lstm": lambda: diffusion(trunk("lstm")),
  "causal lstm": lambda: autoregressive(trunk("lstm")),
  "pixel_cnn": lambda: autoregressive(trunk("pixel_cnn", width=16, num_layers=2, dropout=0.1), MAP),
  "per_position": lambda: diffusion(trunk("per_position")),
  "densenet": lambda: diffusion(trunk("densenet", dropout=0.1), MAP),
  "unet": lambda: diffusion(
    trunk("unet", widths=(16, 32), num_layers=1, time_width=16, patch_size=2, dropout=0.1), MAP
  ),
  "linear_attention_unet": lambda: diffusion(trunk("linear_attention_unet", width=16, multipliers=(1, 2)), MAP),
  "argmax flow, couplings of lstm": _coupling_with_posterior,
  "argmax flow, couplings of scanned transformers": lambda: argmax_flow(
    trunk("transformer"), coupling(trunk("transformer", scan_layers=True)), base=2
  ),
  "argmax flow, autoregressive": lambda: argmax_flow(
    trunk("per_position"), DENSITIES["autoregressive"](num_layers=2, conditioner=trunk("lstm"), **_CHANNELS)
  ),
  "argmax flow, gumbel": lambda: argmax_flow(trunk("none"), coupling(trunk("lstm"), num_mixtures=0), inverse="gumbel"),
  "dequantized flow": lambda: MODELS["dequantized_flow"].make(event=TEXT, density=coupling(trunk("lstm"))),
  "discrete flow": lambda: MODELS["discrete_flow"].make(
    event=TEXT, conditioner=trunk("transformer"), num_layers=2, base_network=trunk("lstm")
  ),
  "denoising flow": lambda: MODELS["denoising_flow"].make(
    event=MAP, conditioner=trunk("densenet"), num_layers=2, num_levels=2
  ),
  "latent emission, sets": lambda: latent_emission(
    ENCODINGS["mixture"](),
    DENSITIES["exchangeable"](num_layers=2, num_mixtures=2, conditioner=trunk("transformer", positions=False)),
    weighting=WEIGHTINGS["fading_emission"](),
  ),
  "latent emission, AF/AF": lambda: latent_emission(_RECURRENT, DENSITIES["recurrent"](**_SMALL), LONGER),
  "latent emission, IAF/SCF": lambda: latent_emission(
    _RECURRENT, DENSITIES["recurrent"](time="iaf", channels="scf", **_SMALL), LONGER
  ),
  "argmax flow, multi-scale": lambda: argmax_flow(
    trunk("densenet"), DENSITIES["multi_scale"](num_levels=2, num_layers=1, conditioner=trunk("densenet")), MAP
  ),
  "argmax flow, pyramid": lambda: argmax_flow(
    trunk("densenet"), DENSITIES["pyramid"](num_levels=2, conditioner=trunk("densenet"), **_CHANNELS), MAP
  ),
}

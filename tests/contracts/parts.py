"""Parts of tiny models: networks, densities and encoders."""

from catgen.flows.densities import DENSITIES, POSTERIOR_FLOWS
from catgen.networks import TRUNKS


def transformer(**options):
  return TRUNKS["transformer"](width=16, num_layers=1, num_heads=2, time_width=16, **options)


def deep_transformer():
  return TRUNKS["deep_transformer"](width=16, num_layers=2, num_heads=2, hidden_width=24)


def transformer_xl():
  return TRUNKS["transformer_xl"](width=16, num_layers=2, num_heads=2, hidden_width=24)


def unet():
  sizes = {"widths": (8, 16), "num_layers": 1, "num_heads": 2, "time_width": 8}
  return TRUNKS["unet"](**sizes)


def pixel_cnn():
  return TRUNKS["pixel_cnn"](width=8, num_layers=2)


def linear_attention_unet():
  return TRUNKS["linear_attention_unet"](width=8, multipliers=(4, 4), dropout=0.0)


_LSTM = {"hidden_width": 8, "width": 12, "time_width": 4, "lstm_width": 8, "num_layers": 1}
CONDITIONERS = {
  "lstm": TRUNKS["lstm"](**_LSTM),
  "transformer": TRUNKS["transformer"](width=8, num_layers=1, num_heads=2),
  "transformer_in_bfloat16": TRUNKS["transformer"](width=8, num_layers=1, num_heads=2, dtype="bfloat16"),
  "densenet": TRUNKS["densenet"](width=8, num_layers=1, growth=4),
}
UNORDERED = TRUNKS["transformer"](width=8, num_layers=1, num_heads=2, positions=False)
_ENCODERS = {
  "none": TRUNKS["none"](),
  "per_position": TRUNKS["per_position"](width=8, output_width=8),
  "lstm": TRUNKS["lstm"](width=8, time_width=0, lstm_width=8, num_layers=1, output_width=8),
  "transformer": TRUNKS["transformer"](width=8, num_layers=2),
  "densenet": TRUNKS["densenet"](width=8, num_layers=4, growth=16),
}


def density(kind: str, conditioner: str = "lstm", **options):
  sizes = (
    {"num_features": 8, "hidden_width": 8, "channel_features": 4} if kind == "autoregressive" else {"num_layers": 2}
  )
  return DENSITIES[kind](num_mixtures=2, conditioner=CONDITIONERS[conditioner], **{**sizes, **options})


def multi_scale(**options):
  return DENSITIES["multi_scale"](num_layers=2, conditioner=CONDITIONERS["densenet"], **options)


def exchangeable(**options):
  return DENSITIES["exchangeable"](num_layers=2, num_mixtures=2, conditioner=UNORDERED, **options)


def recurrent(time: str, channels: str, **options):
  sizes = {"num_layers": 2, "hidden_width": 24, "lstm_width": 8, "num_lstm_layers": 2, "start_width": 4}
  return DENSITIES["recurrent"](time=time, channels=channels, **sizes, **options)


def pyramid(**options):
  sizes = {"num_mixtures": 2, "num_features": 8, "hidden_width": 8, "channel_features": 4}
  return DENSITIES["pyramid"](num_levels=1, conditioner=CONDITIONERS["densenet"], **sizes, **options)


def encoder(kind: str = "per_position"):
  return _ENCODERS[kind]


def posterior_flow():
  return POSTERIOR_FLOWS["coupling"](num_layers=2, num_mixtures=2, conditioner=CONDITIONERS["lstm"])


def map_posterior_flow(**options):
  return POSTERIOR_FLOWS["map_coupling"](num_layers=2, conditioner=CONDITIONERS["densenet"], **options)

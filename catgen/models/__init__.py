"""Families of models: each a function from plain values to a `Model` record."""

from collections.abc import Callable

from catgen.interfaces import Model
from catgen.models.argmax_flow import argmax_flow
from catgen.models.autoregressive import autoregressive
from catgen.models.dequantized_flow import dequantized_flow
from catgen.models.diffusion import diffusion

MODELS: dict[str, Callable[..., Model]] = {
  "diffusion": diffusion,
  "argmax_flow": argmax_flow,
  "dequantized_flow": dequantized_flow,
  "autoregressive": autoregressive,
}

"""Families of models: each a function from plain values to a `Model` record."""

from collections.abc import Callable

from catgen.interfaces import Model
from catgen.models.autoregressive import autoregressive
from catgen.models.diffusion import diffusion

MODELS: dict[str, Callable[..., Model]] = {"diffusion": diffusion, "autoregressive": autoregressive}

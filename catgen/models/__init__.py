"""Families of models: each a function from plain values to a `Model` record."""

from catgen.flows.densities import DENSITIES, POSTERIOR_FLOWS
from catgen.kinds import Kind, Kinds, Registry
from catgen.models.autoregressive import autoregressive
from catgen.models.block_diffusion import block_diffusion
from catgen.models.diffusion import diffusion, learned_masking
from catgen.models.discrete.denoising import denoising_flow
from catgen.models.discrete.modular import discrete_flow
from catgen.models.emission import ENCODINGS, WEIGHTINGS
from catgen.models.emission.model import latent_emission
from catgen.models.flow.argmax import argmax_flow
from catgen.models.flow.dequantized import dequantized_flow
from catgen.networks import TRUNKS
from catgen.processes import PROCESSES, SCHEDULES

_FLOW: dict[str, Registry] = {"encoder": TRUNKS, "density": DENSITIES, "posterior_flow": POSTERIOR_FLOWS}
MODELS: Registry = Kinds() | {
  "diffusion": Kind(
    diffusion, parts={"network": TRUNKS, "process": PROCESSES, "schedule": SCHEDULES}, small={"num_steps": 8}
  ),
  "learned_masking": Kind(learned_masking, parts={"network": TRUNKS}),
  "argmax_flow": Kind(argmax_flow, parts=_FLOW),
  "dequantized_flow": Kind(dequantized_flow, parts=_FLOW),
  "latent_emission": Kind(
    latent_emission, parts={"encoding": ENCODINGS, "density": DENSITIES, "weighting": WEIGHTINGS}
  ),
  "autoregressive": Kind(autoregressive, parts={"network": TRUNKS}),
  "block_diffusion": Kind(block_diffusion, parts={"network": TRUNKS}, small={"block_length": 2}),
  "discrete_flow": Kind(discrete_flow, parts={"conditioner": TRUNKS, "base_network": TRUNKS}, small={"num_layers": 2}),
  "denoising_flow": Kind(
    denoising_flow, parts={"conditioner": TRUNKS}, small={"num_layers": 2, "num_sorted": 2, "num_levels": 1}
  ),
}

"""Time as a vector, example by example."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from catgen.interfaces import InputError
from catgen.networks.parts.linear import Linear

TIME_SCALE = 4000.0  # one unit of time in radians of the fastest wave; the paper's t/T times 4000
_ADDED_WIDTH = 128  # of the perceptron of a `TimeVector`


def time_features(time: Float[Array, "batch"], width: int) -> Float[Array, "batch width"]:
  """Returns [sin(4000 time w_k), cos(4000 time w_k)] with w_k = 10000^(-k / (width/2 - 1)), k = 0 .. width/2 - 1.

  Args:
    time: in [0, 1]; the paper's (t - 1) / T for a step t in 1 .. T.
    width: even, at least 4; all sines come first.

  Numerics: float32 throughout; at time = 1 the fastest wave has a phase error near 2e-4 radians.
  Reference: the embedding of the paper's text network (arXiv:2102.05379), after Vaswani et al. (2017).
  """
  half = width // 2
  frequencies = TIME_SCALE * np.exp(-np.arange(half) * np.log(1e4) / (half - 1))
  phases = time.astype(jnp.float32)[:, None] * jnp.asarray(frequencies, jnp.float32)[None]
  return jnp.concatenate([jnp.sin(phases), jnp.cos(phases)], axis=-1)


class TimeMLP(nnx.Module):
  """A two-layer perceptron with SiLU on `time_features`: the vector that adaptive norms read."""

  def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
    if width % 2 or width < 4:
      raise InputError(f"time_width must be even and at least 4, not {width}")
    self.width = width
    self.hidden = Linear(width, width, rngs=rngs)
    self.output = Linear(width, width, rngs=rngs)

  def __call__(self, time: Float[Array, "batch"]) -> Float[Array, "batch width"]:
    """Returns a float32 vector per example, SiLU already applied."""
    return jax.nn.silu(self.output(jax.nn.silu(self.hidden(time_features(time, self.width)))))


class TimeVector(nnx.Module):
  """The time as `width` features, linear in a `TimeMLP`: for trunks that take no time, added to what they read."""

  def __init__(self, width: int, *, rngs: nnx.Rngs) -> None:
    self.mlp = TimeMLP(_ADDED_WIDTH, rngs=rngs)
    self.output = Linear(_ADDED_WIDTH, width, rngs=rngs)

  def __call__(self, time: Float[Array, "batch"]) -> Float[Array, "batch width"]:
    """Returns a float32 vector per example."""
    return self.output(self.mlp(time))

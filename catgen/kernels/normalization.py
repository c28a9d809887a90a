"""Norms of features with what follows them: a scale and a shift, or the rotation of positions.

Between products a network reads and writes memory. In its gradients of the plain forms XLA writes float32 arrays of all
activations, in programs for NVIDIA GPUs, and reads them again. So those programs have gradients here that are computed
from the inputs anew, in fewer passes: the same but for rounding. How many bytes that saves is in docs/RESULTS.md, "One
accelerator, one run". Counted for a TPU it saves next to nothing; on CPUs it was not tried.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from catgen.kernels.platforms import for_nvidia

_EPSILON = 1e-6  # added to variances and mean squares

Features = Float[Array, "batch length width"]
OfExamples = Float[Array, "examples 1 width"]  # one of them stands for all
Heads = Float[Array, "batch length heads dim"]
Angles = Float[Array, "length half"]


def layer_norm(h: Features, scale: OfExamples, shift: OfExamples) -> Features:
  """Returns (h - mean) / sqrt(variance + 1e-6) scale + shift over features, in the dtype of h.

  It is computed in float32. Reference: Ba et al. (2016), arXiv:1607.06450.
  """
  # of float32 features there is nothing wider to keep, and the moments would be computed once more than needed
  form = layer_norm_plainly if h.dtype == jnp.float32 else for_nvidia(_layer_norm, layer_norm_plainly)
  return form(h, scale, shift)


def layer_norm_plainly(h: Features, scale: OfExamples, shift: OfExamples) -> Features:
  """Returns what `layer_norm` does: the form for all but NVIDIA GPUs."""
  wide = h.astype(jnp.float32)
  centered = wide - wide.mean(axis=-1, keepdims=True)
  normal = (centered * _one_over_root(centered)).astype(h.dtype)
  return (normal.astype(jnp.float32) * scale + shift).astype(h.dtype)


def rotated_norm(x: Heads, scale: Float[Array, "dim"], angles: Angles) -> Heads:
  """Returns scale * x / sqrt(mean x^2 + 1e-6) over the last axis, computed in float32, rotated as by `rotate`.

  Reference: Zhang and Sennrich (2019), arXiv:1910.07467.
  """
  return for_nvidia(_rotated, rotated_norm_plainly)(x, scale, jnp.cos(angles), jnp.sin(angles))


def rotated_norm_plainly(x: Heads, scale: Float[Array, "dim"], cosine: Angles, sine: Angles) -> Heads:
  """Returns what `rotated_norm` does: the form for all but NVIDIA GPUs."""
  wide = x.astype(jnp.float32)
  return rotate((wide * _one_over_root(wide) * scale[None, None, None]).astype(x.dtype), cosine, sine)


def rotate(x: Heads, cosine: Angles, sine: Angles) -> Heads:
  """Returns x with features j and j + dim/2 turned together by the j-th angle of their position."""
  first, second = jnp.split(x, 2, axis=-1)
  cosine, sine = cosine[None, :, None].astype(x.dtype), sine[None, :, None].astype(x.dtype)
  return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


@jax.custom_vjp
def _layer_norm(h: Array, scale: Array, shift: Array) -> Array:
  mean, factor = _moments(h)
  return ((h.astype(jnp.float32) - mean) * factor * scale + shift).astype(h.dtype)


def _layer_norm_forward(h: Array, scale: Array, shift: Array) -> tuple[Array, tuple[Array, ...]]:
  return _layer_norm(h, scale, shift), (h, scale, shift)


def _layer_norm_backward(kept: tuple[Array, ...], slope: Array) -> tuple[Array, Array, Array]:
  h, scale, shift = kept
  h = jax.lax.optimization_barrier(h)  # else the moments are taken from the forward pass, and all that led to them
  mean, factor = jax.lax.optimization_barrier(_moments(h))
  normal, slope = (h.astype(jnp.float32) - mean) * factor, slope.astype(jnp.float32)
  scaled = slope * scale
  along = (scaled * normal).mean(axis=-1, keepdims=True)
  d_h = factor * (scaled - scaled.mean(axis=-1, keepdims=True) - normal * along)
  return d_h.astype(h.dtype), _summed(slope * normal, scale), _summed(slope, shift)


_layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)


def _moments(h: Array) -> tuple[Array, Array]:
  """Returns the mean of features, and one over the root of their variance, [batch, length, 1]."""
  wide = h.astype(jnp.float32)
  mean = wide.mean(axis=-1, keepdims=True)
  return mean, _one_over_root(wide - mean)


def _summed(slopes: Array, vectors: Array) -> Array:
  """Returns the gradient of vectors that were the same at all positions, and maybe in all examples."""
  summed = slopes.sum(axis=1, keepdims=True)
  return summed if len(vectors) == len(summed) else summed.sum(axis=0, keepdims=True)


@jax.custom_vjp
def _rotated(x: Array, scale: Array, cosine: Array, sine: Array) -> Array:
  wide = x.astype(jnp.float32)
  return _turned(wide * _one_over_root(wide) * scale[None, None, None], cosine, sine).astype(x.dtype)


def _rotated_forward(x: Array, scale: Array, cosine: Array, sine: Array) -> tuple[Array, tuple[Array, ...]]:
  return _rotated(x, scale, cosine, sine), (x, scale, cosine, sine)


def _rotated_backward(kept: tuple[Array, ...], slope: Array) -> tuple[Array, Array, None, None]:
  x, scale, cosine, sine = kept
  wide = x.astype(jnp.float32)
  factor = jax.lax.optimization_barrier(_one_over_root(wide))
  normal, slope = wide * factor, _turned(slope.astype(jnp.float32), cosine, -sine)
  scaled = slope * scale[None, None, None]
  d_x = factor * (scaled - normal * (scaled * normal).mean(axis=-1, keepdims=True))
  return d_x.astype(x.dtype), (slope * normal).sum(axis=(0, 1, 2)), None, None


_rotated.defvjp(_rotated_forward, _rotated_backward)


def _one_over_root(wide: Array) -> Array:
  """Returns 1 / sqrt(mean square + 1e-6) of features, [..., 1]."""
  return jax.lax.rsqrt(jnp.square(wide).mean(axis=-1, keepdims=True) + _EPSILON)


def _turned(x: Array, cosine: Array, sine: Array) -> Array:
  """Returns what `rotate` does, without a concatenation, which XLA does not take into one pass with its inputs."""
  halves = x.reshape(*x.shape[:-1], 2, -1)
  signs = jnp.array([-1.0, 1.0])[None, None, None, :, None]
  cosine, sine = cosine[None, :, None, None], sine[None, :, None, None] * signs
  return (halves * cosine + jnp.flip(halves, axis=-2) * sine).reshape(x.shape)

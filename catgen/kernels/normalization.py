"""Norms of features with what follows them: a shift and a scale, or the rotation of positions.

On a GPU a network in low precision takes about as long over them as over its products, and all that time they read and
write memory. XLA writes float32 arrays of all activations in the gradients of the plain forms, and reads them again.
So programs for NVIDIA GPUs have gradients here that are computed from the inputs anew, in fewer passes: the same but
for rounding. For CPUs and TPUs, whose compilers do that otherwise, they save nothing.
"""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from catgen.kernels.platforms import for_nvidia

EPSILON = 1e-6  # added to variances and mean squares, unless another is given

Features = Float[Array, "batch length width"]
OfExamples = Float[Array, "examples 1 width"]  # one of them stands for all
Heads = Float[Array, "batch length heads dim"]
Angles = Float[Array, "length half"]


def modulated_norm(h: Features, shift: OfExamples, scale: OfExamples, *, epsilon: float = EPSILON) -> Features:
  """Returns (h - mean) / sqrt(variance + epsilon) (1 + scale) + shift over features, in the dtype of h.

  It is computed in float32 (Ba et al., 2016, arXiv:1607.06450, without parameters of its own).
  """
  own, plain = (functools.partial(form, epsilon) for form in (_modulated, modulated_norm_plainly))
  # of float32 features there is nothing wider to keep, and the moments would be computed once more than needed
  return (plain if h.dtype == jnp.float32 else for_nvidia(own, plain))(h, shift, scale)


def modulated_norm_plainly(epsilon: float, h: Features, shift: OfExamples, scale: OfExamples) -> Features:
  """Returns what `modulated_norm` does: the form for CPUs and TPUs."""
  centered = h.astype(jnp.float32)
  centered = centered - centered.mean(axis=-1, keepdims=True)
  variance = jnp.square(centered).mean(axis=-1, keepdims=True)
  normal = (centered * jax.lax.rsqrt(variance + epsilon)).astype(h.dtype)
  return (normal.astype(jnp.float32) * (1.0 + scale) + shift).astype(h.dtype)


def rotated_norm(x: Heads, scale: Float[Array, "dim"], angles: Angles) -> Heads:
  """Returns scale * x / sqrt(mean x^2 + 1e-6) over the last axis, computed in float32, rotated as by `rotate`.

  Reference: Zhang and Sennrich (2019), arXiv:1910.07467.
  """
  return for_nvidia(_rotated, rotated_norm_plainly)(x, scale, jnp.cos(angles), jnp.sin(angles))


def rotated_norm_plainly(x: Heads, scale: Float[Array, "dim"], cosine: Angles, sine: Angles) -> Heads:
  """Returns what `rotated_norm` does: the form for CPUs and TPUs."""
  wide = x.astype(jnp.float32)
  factor = jax.lax.rsqrt(jnp.square(wide).mean(axis=-1, keepdims=True) + EPSILON)
  return rotate((wide * factor * scale[None, None, None]).astype(x.dtype), cosine, sine)


def rotate(x: Heads, cosine: Angles, sine: Angles) -> Heads:
  """Returns x with features j and j + dim/2 turned together by the j-th angle of their position."""
  first, second = jnp.split(x, 2, axis=-1)
  cosine, sine = cosine[None, :, None].astype(x.dtype), sine[None, :, None].astype(x.dtype)
  return jnp.concatenate([first * cosine - second * sine, second * cosine + first * sine], axis=-1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _modulated(epsilon: float, h: Array, shift: Array, scale: Array) -> Array:
  mean, factor = _moments(h, epsilon)
  return ((h.astype(jnp.float32) - mean) * factor * (1.0 + scale) + shift).astype(h.dtype)


def _modulated_forward(epsilon: float, h: Array, shift: Array, scale: Array) -> tuple[Array, tuple[Array, ...]]:
  return _modulated(epsilon, h, shift, scale), (h, shift, scale)


def _modulated_backward(epsilon: float, kept: tuple[Array, ...], slope: Array) -> tuple[Array, Array, Array]:
  h, shift, scale = kept
  h = jax.lax.optimization_barrier(h)  # else the moments are taken from the forward pass, and all that led to them
  mean, factor = jax.lax.optimization_barrier(_moments(h, epsilon))
  normal, slope = (h.astype(jnp.float32) - mean) * factor, slope.astype(jnp.float32)
  scaled = slope * (1.0 + scale)
  along = (scaled * normal).mean(axis=-1, keepdims=True)
  d_h = factor * (scaled - scaled.mean(axis=-1, keepdims=True) - normal * along)
  return d_h.astype(h.dtype), _summed(slope, shift), _summed(slope * normal, scale)


_modulated.defvjp(_modulated_forward, _modulated_backward)


def _moments(h: Array, epsilon: float) -> tuple[Array, Array]:
  """Returns the mean of features, and one over the root of their variance, [batch, length, 1]."""
  wide = h.astype(jnp.float32)
  mean = wide.mean(axis=-1, keepdims=True)
  return mean, jax.lax.rsqrt(jnp.square(wide - mean).mean(axis=-1, keepdims=True) + epsilon)


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
  return jax.lax.rsqrt(jnp.square(wide).mean(axis=-1, keepdims=True) + EPSILON)


def _turned(x: Array, cosine: Array, sine: Array) -> Array:
  """Returns what `rotate` does, without a concatenation, which XLA does not take into one pass with its inputs."""
  halves = x.reshape(*x.shape[:-1], 2, -1)
  signs = jnp.array([-1.0, 1.0])[None, None, None, :, None]
  cosine, sine = cosine[None, :, None, None], sine[None, :, None, None] * signs
  return (halves * cosine + jnp.flip(halves, axis=-2) * sine).reshape(x.shape)

"""A mixture of independent positions as a `Model`: everything about it is known exactly, and it can be broken.

p(x) = sum_z prior[z] prod_d theta[z, x_d]. A bound draws the component z uniformly, one "time step" per component.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from catgen.interfaces import Batch, Bound, Denoised, EventSpec, Infill, Model, Profile, Samples


def make_parameters(rng, *, num_components=3, num_classes=3, bound_offset=0.0, weight_offset=0.0, temperature=1.0):
  """Returns the parameters; offsets (in nats) and a temperature other than 1 make the model dishonest.

  They are parameters, so that honest and dishonest models share their compiled programs.
  """
  theta = np.log(rng.dirichlet(np.ones(num_classes), num_components))
  return {
    "log_prior": np.log(rng.dirichlet(np.ones(num_components))).astype(np.float32),
    "log_theta": theta.astype(np.float32),
    "bound_offset": np.float32(bound_offset),
    "weight_offset": np.float32(weight_offset),
    "temperature": np.float32(temperature),
  }


@functools.cache
def mixture(length=2, num_classes=3, *, exact=True):
  """Returns the Model, the same one each time, of compiled functions: those who trace it find what others traced."""
  model = _mixture(length, num_classes, exact, [])
  static = {"bound": "train", "sample": "options"}
  functions = ("bound", "sample", "log_prob", "log_weight", "full_bound", "denoise")
  compiled = {
    name: jax.jit(getattr(model, name), static_argnames=static.get(name))
    for name in functions
    if getattr(model, name) is not None
  }
  infill = model.infill._replace(draw=jax.jit(model.infill.draw, static_argnames="options"))
  return model._replace(**compiled, infill=infill)


def counting_mixture(length, num_classes, calls):
  """Returns the Model with functions as they are, each trace of which adds a name to `calls`."""
  return _mixture(length, num_classes, True, calls)


def _mixture(length, num_classes, exact, calls):

  def components(params, x, valid):  # log theta[z, x_d], [batch, length, components], 0 where invalid
    return jnp.where(valid[..., None], params["log_theta"].T[x], 0.0)

  def joint(params, x, valid):
    return params["log_prior"][None] + components(params, x, valid).sum(axis=1)

  def log_prob(params, batch, *, state):
    calls.append("log_prob")
    return jax.nn.logsumexp(joint(params, jnp.asarray(batch.x), batch.valid), axis=-1)

  def bound(params, batch, keys, *, state, train, strata=None):
    calls.append("bound")
    number = params["log_prior"].shape[0]
    uniform = jax.vmap(jax.random.uniform)(keys) if strata is None else strata
    z = jnp.minimum((uniform * number).astype(int), number - 1)
    prior = params["log_prior"][z] + jnp.log(number)
    terms = components(params, jnp.asarray(batch.x), batch.valid).sum(axis=1)
    fit = jnp.take_along_axis(terms, z[:, None], axis=-1)[:, 0] + params["bound_offset"]
    weight = jnp.where(jnp.asarray(batch.valid).any(axis=1), 1.0, 0.0)
    return Bound((prior + fit) * weight, {"prior": prior * weight, "fit": fit * weight})

  def log_weight(params, batch, keys, *, state):
    return bound(params, batch, keys, state=state, train=False).nats + params["weight_offset"]

  def full_bound(params, batch, keys, *, state):
    valid = jnp.asarray(batch.valid)
    number = params["log_prior"].shape[0]
    weight = jnp.where(valid.any(axis=1), 1.0, 0.0)
    per_time = (joint(params, jnp.asarray(batch.x), valid) + jnp.log(number)) * weight[:, None] / number
    prior = (params["log_prior"].mean() + jnp.log(number)) * weight
    by_position = -components(params, jnp.asarray(batch.x), valid).mean(axis=-1)
    terms = {"prior": prior, "fit": per_time.sum(axis=1) - prior}
    return Bound(per_time.sum(axis=1), terms), Profile(-per_time, by_position)

  def sample(params, keys, *, given=None, state, options):
    def one(key):
      first, second = jax.random.split(key)
      z = jax.random.categorical(first, params["log_prior"])
      scaled = params["log_theta"][z] / (options.temperature * params["temperature"])
      return jax.random.categorical(second, scaled, shape=(length,)).astype(jnp.int32)

    x = jax.vmap(one)(keys)
    chain = jnp.stack([jnp.full_like(x, num_classes)] * options.num_frames) if options.num_frames else None
    return Samples(x, jnp.ones(x.shape, bool), chain)

  def denoise(params, x, valid, noise_level, *, given=None, state):
    """Bayes' rule: each category is wrong with probability `noise_level`, all others equally likely."""
    off = noise_level / (num_classes - 1)
    channel = jnp.full((num_classes, num_classes), off) + (1 - noise_level - off) * jnp.eye(
      num_classes
    )  # [clean, seen]
    log_seen = jnp.log(channel)[:, x].transpose(1, 2, 0)  # [batch, length, clean]
    per_position = params["log_theta"][None, None] + log_seen[:, :, None, :]  # [batch, length, z, clean]
    evidence = jnp.where(valid[..., None], jax.nn.logsumexp(per_position, axis=-1), 0.0)
    others = params["log_prior"][None, None] + evidence.sum(axis=1, keepdims=True) - evidence
    prediction = jax.nn.logsumexp(others[..., None] + params["log_theta"][None, None], axis=2)
    posterior = prediction + log_seen
    return Denoised(jax.nn.log_softmax(posterior), jax.nn.log_softmax(prediction))

  def draw_infill(params, x, observed, keys, *, given=None, state, options):
    scores = joint(params, x, observed)

    def one(key, score, given, seen):
      first, second = jax.random.split(key)
      z = jax.random.categorical(first, score)
      drawn = jax.random.categorical(second, params["log_theta"][z], shape=(length,)).astype(given.dtype)
      return jnp.where(seen, given, drawn)

    filled = jax.vmap(one)(keys, scores, x, observed)
    return Samples(filled, jnp.ones(filled.shape, bool))

  return Model(
    EventSpec((length,), num_classes),
    init=lambda batch, key: ({}, {}),
    bound=bound,
    sample=sample,
    log_prob=log_prob if exact else None,
    log_weight=log_weight,
    full_bound=full_bound,
    denoise=denoise,
    infill=Infill(draw_infill, True, "components are drawn given what is observed"),
  )


def walk(x, valid, batch_size):
  """Yields a split as batches; the last one is padded with invalid examples."""
  for start in range(0, len(x), batch_size):
    numbers = np.arange(start, start + batch_size)
    inside = np.minimum(numbers, len(x) - 1)
    keep = (numbers < len(x))[:, None]
    yield Batch(x[inside], valid[inside] & keep, numbers.astype(np.int32))

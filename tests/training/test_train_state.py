import jax.numpy as jnp
import numpy as np

from catgen.training.state import ema_decay_at, update_ema


def test_the_average_follows_its_recursion():
  rng = np.random.default_rng(0)
  values = rng.normal(size=(40, 3))
  ema, expected = {"a": jnp.asarray(values[0], jnp.float32)}, values[0]
  for step in range(40):
    decay = min(0.7, (1 + step) / (10 + step))
    expected = decay * expected + (1 - decay) * values[step]
    ema = update_ema(ema, {"a": jnp.asarray(values[step], jnp.float32)}, jnp.int32(step), 0.7)
  np.testing.assert_allclose(ema["a"], expected, rtol=1e-5)


def test_the_decay_starts_small_and_ends_as_asked():
  assert float(ema_decay_at(jnp.int32(0), 0.999)) == np.float32(0.1)
  assert float(ema_decay_at(jnp.int32(100_000), 0.999)) == np.float32(0.999)

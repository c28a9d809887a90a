"""How often drawing calls the network, counted as it runs: once a step, whatever mends samples; twice with guidance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.interfaces import SampleOptions
from catgen.models.diffusion.sampling import sample
from tests.models.stubs import keys_up_to, spec_of

D, N = 6, 5


def calls_of(process, options, *, num_steps=0):
  """Returns how often the network is called to draw a batch of three."""
  counted = []

  def network(params, x_t, time):
    jax.debug.callback(lambda: counted.append(1))
    return jnp.zeros((*x_t.shape, 3))

  spec = spec_of(network, shape=(D,), process=process, num_steps=num_steps)
  given = jax.device_put(np.zeros((3, 1), np.int32))
  drawn = jax.jit(lambda keys: sample(spec, None, keys, given=given, state={}, options=options).x)(keys_up_to(3))
  jax.block_until_ready(drawn)
  jax.effects_barrier()
  return len(counted)


PLAIN = SampleOptions(num_steps=N)
MENDED = (PLAIN, PLAIN._replace(temperature=0.7, top_k=2), PLAIN._replace(correction=0.3))


@pytest.mark.parametrize(
  ("process", "options", "calls"),
  [
    *(pytest.param("absorbing", options, N, marks=pytest.mark.slow) for options in MENDED),
    ("uniform", SampleOptions(num_steps=N, correction=0.3), N),
    pytest.param("kernel", SampleOptions(num_steps=N, correction=0.3), N, marks=pytest.mark.slow),
    ("absorbing", SampleOptions(num_steps=N, guidance=2.0), 2 * N),
    pytest.param("uniform", SampleOptions(num_steps=N, guidance=2.0, correction=0.3), 2 * N, marks=pytest.mark.slow),
    ("absorbing", SampleOptions(order="margin"), D),
    ("absorbing", SampleOptions(order="low_entropy", positions_per_call=4), 2),
    ("absorbing", SampleOptions(order="blocks", blocks=(1, 2, 3)), 3),
    pytest.param("absorbing", SampleOptions(order="blocks", blocks=(1, 2, 3), guidance=2.0), 6, marks=pytest.mark.slow),
    ("absorbing", SampleOptions(order="first_hitting"), D),
  ],
)
def test_so_often_the_network_is_called_for_a_sample(process, options, calls):
  assert calls_of(process, options) == calls


def test_in_discrete_time_all_steps_are_taken_or_as_many_as_are_asked_for():
  assert calls_of("uniform", SampleOptions(), num_steps=7) == 7
  assert calls_of("uniform", SampleOptions(num_steps=N), num_steps=7) == N

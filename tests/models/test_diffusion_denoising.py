"""Denoising by diffusion models: Bayes with what is written, the step that fits the noise, and masking in turn."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.models.diffusion.denoising import denoise
from catgen.processes import SCHEDULES
from tests.models.stubs import own, spec_of, table

K = 3
X = np.array([[0, 1, 2, 2], [1, 1, 0, 2]], np.int32)


@functools.cache
def denoiser(logits, **options):
  spec = spec_of(logits, **options)
  return spec, jax.jit(lambda p, x, e: denoise(spec, p, x, jnp.ones(x.shape, bool), e, state={}))


def answer(logits, params, x, level, **options):
  return denoiser(logits, **options)[1](params, jnp.asarray(x), np.float32(level))


@pytest.mark.parametrize("process", ["uniform", "absorbing"])
@pytest.mark.parametrize("level", [0.3, (K - 1) / K])
def test_the_posterior_is_the_prediction_times_the_channel(process, level):
  found = answer(own, table(K + (process == "absorbing"), K), X, level, shape=(4,), process=process, num_steps=10)
  prediction, posterior = (np.exp(np.asarray(part, np.float64)) for part in (found.prediction, found.posterior))
  channel = np.where(np.eye(K, dtype=bool), 1 - level, level / (K - 1))
  joint = prediction * channel[X]  # the channel is symmetric
  np.testing.assert_allclose(posterior, joint / joint.sum(axis=-1, keepdims=True), rtol=1e-4)
  np.testing.assert_allclose(prediction.sum(axis=-1), 1.0, rtol=1e-5)
  if level > 0.6:  # what is written then says nothing
    np.testing.assert_allclose(posterior, prediction, rtol=1e-4)


def test_without_noise_what_is_written_is_certain():
  found = answer(own, table(K, K), X, 0.0, shape=(4,), process="uniform", num_steps=10)
  np.testing.assert_allclose(np.exp(found.posterior), np.eye(K)[X], atol=1e-7)


def telling(params, x_t, time):
  """A network whose logit of category 0 is the time that it is told."""
  return jnp.broadcast_to(jnp.stack([time, 0 * time, 0 * time], axis=-1)[:, None], (*x_t.shape, K))


def told(found):
  prediction = np.asarray(found.prediction, np.float64)
  return prediction[..., 0] - prediction[..., 1]


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("level", [0.0, 0.02, 0.2, 0.5])
def test_the_step_is_the_one_that_leaves_as_much(schedule, level):
  found = answer(telling, None, X, level, shape=(4,), schedule=schedule, num_steps=20)
  kept = SCHEDULES[schedule].make().table(20).keep[1:]
  nearest = np.abs(kept - (1 - level * K / (K - 1))).argmin()  # of step nearest + 1, told the one before
  np.testing.assert_allclose(told(found), nearest / 20, atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.1, 0.5])
def test_in_continuous_time_it_is_the_time_itself(level):
  found = answer(telling, None, X, level, shape=(4,), schedule="linear", num_steps=0)
  np.testing.assert_allclose(told(found), level * K / (K - 1), atol=3e-4)


def test_masked_models_predict_each_position_once_while_it_is_masked_with_every_eighth_other():
  """A network that counts: the logit of category 0 is the number of masks, of category 1 whether its own is one."""

  def counting(params, x_t, time):
    masks = jnp.broadcast_to((x_t == K).sum(axis=1, keepdims=True), x_t.shape)
    return jnp.stack([masks, x_t == K, 0 * masks], axis=-1).astype(jnp.float32)

  length = 19
  options = {"shape": (length,), "process": "absorbing", "num_steps": 100}
  found = answer(counting, None, np.zeros((1, length), np.int32), 0.1, **options)
  prediction = np.asarray(found.prediction, np.float64)[0]
  number, masked = (prediction[:, i] - prediction[:, 2] for i in (0, 1))
  passes = min(8, length)
  np.testing.assert_allclose(masked, 1.0, atol=1e-5)
  np.testing.assert_allclose(number, [len(range(d % passes, length, passes)) for d in range(length)], atol=1e-4)


def test_masked_models_are_told_the_time_that_masks_as_many():
  x = np.zeros((1, 16), np.int32)
  found = answer(telling, None, x, 0.1, shape=(16,), process="absorbing", num_steps=40)
  np.testing.assert_allclose(told(found), 4 / 40, atol=1e-5)

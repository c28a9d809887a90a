"""The network 'asia': models that are trained on its law against that law and its exact conditionals.

The references sum the 256 rows in float64 and know no model. Columns by themselves are 0.743 nats away from the law.
"""

import functools

import jax
import numpy as np
import pytest

from catgen.interfaces import SampleOptions
from catgen.models import MODELS
from catgen.processes import PROCESSES, SCHEDULES
from catgen.runs.classify import classify
from catgen.runs.infill import infill
from tests.contracts.parts import transformer
from tests.models.asia import CODEC, EVENT, EVENTS, NAMES, P, conditional, yes
from tests.models.bayesian import run_of
from tests.models.whole_law import on_device, trained

POSSIBLE = P > 0
ENTROPY = -np.sum(P[POSSIBLE] * np.log(P[POSSIBLE]))


def test_the_reference_has_the_published_marginals():
  assert P.sum() == pytest.approx(1, abs=1e-15)
  told = {name: yes(P, name) for name in ("tub", "lung", "bronc", "either", "xray", "dysp")}
  published = {"tub": 0.0104, "lung": 0.055, "bronc": 0.45, "either": 0.064828, "xray": 0.11029, "dysp": 0.435971}
  assert told == pytest.approx(published, abs=1e-6)


def reaches_the_law(nats, most):
  """Asserts that probabilities sum to one, are nearly those of the law, and leave little to rows that cannot be."""
  np.testing.assert_allclose(np.exp(nats).sum(), 1, rtol=1e-5)
  assert 0 <= -P[POSSIBLE] @ nats[POSSIBLE] - ENTROPY < most
  assert np.exp(nats[~POSSIBLE]).sum() < most


def filled_in(run, patient, distance):
  """Asserts that completions of a patient are distributed as the law has them, in total variation."""
  where = [f"{name}={('no', 'yes')[value]}" for name, value in patient.items()]
  found = infill(run, where=where, num_samples=2000, order="left_to_right", pictures=False).x
  counts = np.bincount(found @ (1 << np.arange(8)[::-1]), minlength=256)
  assert np.abs(counts / 2000 - conditional(patient)).sum() / 2 < distance


@pytest.fixture(scope="module")
def autoregressive(tmp_path_factory):
  model = MODELS["autoregressive"].make(event=EVENT, network=transformer())
  params, state = trained(model, EVENTS[POSSIBLE], P[POSSIBLE], copies=1, num_steps=300)
  draw = jax.jit(model.infill.draw, static_argnames="options")
  model = model._replace(log_prob=jax.jit(model.log_prob), infill=model.infill._replace(draw=draw))
  return run_of(model, params, str(tmp_path_factory.mktemp("asia")), CODEC), state


@pytest.mark.slow
def test_an_autoregressive_model_reaches_the_law(autoregressive):
  run, state = autoregressive
  reaches_the_law(np.float64(run.model.log_prob(run.params, on_device(EVENTS), state=state)), 0.002)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smoke", "bronc"])
def test_it_tells_a_column_from_all_others_as_the_law_has_it(name, autoregressive):
  rows = EVENTS[P > 0.01]
  told = classify(autoregressive[0], rows, column=name, prior="uniform").probabilities[:, 1]
  others = [{each: int(row[i]) for i, each in enumerate(NAMES) if each != name} for row in rows]
  np.testing.assert_allclose(told, [yes(conditional(other), name) for other in others], atol=0.04)


@pytest.mark.slow
def test_it_fills_what_comes_after_as_the_law_has_it(autoregressive):
  filled_in(autoregressive[0], {"asia": 0, "tub": 0, "smoke": 1}, 0.06)


@pytest.mark.slow
def test_a_masked_model_reaches_the_law_and_its_conditionals(tmp_path):
  parts = {"process": PROCESSES["absorbing"](), "schedule": SCHEDULES["linear"](), "num_steps": 20}
  model = MODELS["diffusion"].make(event=EVENT, network=transformer(), **parts)
  params, state = trained(model, EVENTS[POSSIBLE], P[POSSIBLE], copies=4, num_steps=2000)
  program = jax.jit(functools.partial(model.orders.log_prob, options=SampleOptions(order="left_to_right")))
  reaches_the_law(np.float64(program(params, on_device(EVENTS), state=state)), 0.02)
  run = run_of(model, params, str(tmp_path), CODEC)
  patients, rng = [], np.random.default_rng(0)
  for row in EVENTS[rng.choice(len(EVENTS), 300, p=P)]:
    patients.append({name: int(row[i]) for i, name in enumerate(NAMES) if name != "bronc" and rng.random() < 0.5})
  rows = [{name: ("no", "yes")[value] for name, value in patient.items()} for patient in patients]
  expected = np.array([yes(conditional(patient), "bronc") for patient in patients])
  told = classify(run, rows, column="bronc", prior="uniform").probabilities[:, 1]
  assert np.abs(yes(P, "bronc") - expected).mean() > 0.15
  assert np.abs(told - expected).mean() < 0.03
  filled_in(run, {"dysp": 1, "smoke": 1}, 0.1)

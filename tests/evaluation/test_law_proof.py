"""Samples by options follow the law that is enumerated, and what only seems to is found."""

import jax
import numpy as np
import pytest

from catgen.evaluation.enumeration import Space
from catgen.evaluation.law_proof import name_of, prove_guidance, prove_options
from catgen.evaluation.spread import ALONE
from catgen.interfaces import SampleOptions
from tests.evaluation.lookups import T, labelled, model_of, repeats, said
from tests.evaluation.mixtures import make_parameters, mixture

CORRECTED = SampleOptions(num_steps=4, correction=0.8)
NAME = name_of(CORRECTED)


def failures(options=CORRECTED, process="absorbing", predict=said, **changes):
  """Returns how many claims there are, those that fail, and the notes."""
  model = model_of(process, T, predict=predict)
  made = model._replace(**{name: change(getattr(model, name)) for name, change in changes.items()})
  space = Space(made, {}, {}, None, 20_000, ALONE)
  claims, notes = prove_options(space, options, key=jax.random.key(0), num_draws=400)
  return len(claims[0]), {claim.name for claim in claims[0] if not claim.passed}, notes


def by(changed):
  """Returns what has a function take no notice of its options but for the changed ones."""
  return lambda function: lambda *told, options=None, **more: function(*told, options=changed, **more)


def test_an_honest_sampler_and_its_bound_pass():
  assert failures() == (3, set(), [])


@pytest.mark.slow  # as another temperature below
def test_another_share_of_corrections_is_found():
  assert failures(sample=by(CORRECTED._replace(correction=0.3)))[1] == {f"{NAME}: samples follow its exact law"}


def test_the_plain_bound_is_none_of_corrected_samples():
  """In two moves some positions are drawn together, so that fewer repeat than the plain bound has it."""
  options = SampleOptions(num_steps=2, correction=0.5)
  found = failures(options, predict=repeats, full_bound=by(SampleOptions()))
  assert found[1] == {f"{name_of(options)}: ELBO <= log its law, every event"}


def test_restricted_samples_have_a_law_and_no_bound():
  cold = SampleOptions(temperature=0.4, forbid=(1,))
  note = "not covered: a bound of samples with temperature 0.4, forbid 1: none is known"
  assert failures(cold, "uniform") == (1, set(), [note])
  warmer = failures(cold, "uniform", sample=by(cold._replace(temperature=0.7)))
  assert warmer[1] == {"temperature 0.4, forbid 1: samples follow its exact law"}


def test_what_has_no_law_that_is_known_is_said():
  space = Space(mixture(), make_parameters(np.random.default_rng(11)), {}, None, 100, ALONE)
  claims, notes = prove_options(space, SampleOptions(temperature=0.5), key=jax.random.key(0), num_draws=16)
  assert claims == [[]]
  assert notes == [
    "not covered: samples with temperature 0.5: no law of such samples is known that could be enumerated"
  ]


def test_options_that_are_refused_are_said():
  space = Space(model_of("uniform", T), {}, {}, None, 100, ALONE)
  claims, notes = prove_options(space, SampleOptions(num_steps=9), key=jax.random.key(0), num_draws=16)
  assert claims == [[]]
  assert "not covered: samples with num_steps 9: num_steps is 9, but this model has T = 4" in notes[0]


def guided(**changes):
  """Returns the claims about guidance that fail, by labels."""
  model = labelled("uniform", 8)
  made = model._replace(**{name: change(getattr(model, name)) for name, change in changes.items()})
  claims, notes = prove_guidance(Space(made, {}, {}, np.array([[0], [1]]), 20_000, ALONE), key=jax.random.key(0))
  assert not notes
  assert [len(each) for each in claims] == [3, 2]
  return [{claim.name for claim in each if not claim.passed} for each in claims]


@pytest.mark.slow
def test_guided_samples_have_a_law_of_each_label():
  assert guided() == [set(), set()]


@pytest.mark.slow
def test_samples_that_take_no_notice_of_guidance_are_found():
  law = {"guidance 2, num_steps 8: samples follow its exact law"}
  assert guided(sample=by(SampleOptions())) == [law | {"guidance 0 draws as without labels"}, law]

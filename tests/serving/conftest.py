"""A server of two tiny models of text, one of maps, without a socket."""

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.interfaces import EventSpec
from catgen.models import MODELS
from catgen.networks import TRUNKS
from catgen.serving.serve import new_worker
from catgen.serving.served import served
from tests.parameters import filled


def letter_by_letter(run):
  """Returns a run of the same text whose model is autoregressive, untrained."""
  event = EventSpec(run.record.event.shape, run.record.event.num_classes)
  network = TRUNKS["transformer"](width=8, num_layers=1, num_heads=2)
  model = MODELS["autoregressive"].make(event=event, network=network)
  params = filled(jax.eval_shape(model.init, batch_of(np.zeros((2, *event.shape), np.int32)), jax.random.key(0))[0])
  return run._replace(model=model, params=params, state={})


@pytest.fixture(scope="session")
def models(text_run, map_run):
  runs = {"text": text_run, "letters": letter_by_letter(text_run), "maps": map_run}
  return {name: served(name, run) for name, run in runs.items()}


@pytest.fixture(scope="module")
def worker():
  lines = []
  made = new_worker(queue=8, say=lines.append)
  yield made
  made.close()
  assert not lines


@pytest.fixture(scope="module")
def client(models, worker):
  pytest.importorskip("starlette", reason="starlette is not installed: pip install 'catgen[test]'")
  from starlette.testclient import TestClient

  from catgen.serving.app import application

  app = application(models, worker, host="127.0.0.1")
  return TestClient(app, base_url="http://127.0.0.1:8765", raise_server_exceptions=False)

"""A server of tiny models, without a socket: two of text, one of maps, one of rows of a table, one with labels."""

import jax
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.data.tabular.codec import Table, table_codec
from catgen.interfaces import EventSpec
from catgen.media import media_of
from catgen.models import MODELS
from catgen.networks import TRUNKS
from catgen.processes import PROCESSES, SCHEDULES
from catgen.runs.load import Run
from catgen.runs.record import RunRecord
from catgen.serving.serve import new_worker
from catgen.serving.served import served
from tests.evaluation.test_given import MODEL
from tests.parameters import filled
from tests.runs.test_compress_tables import COLUMNS
from tests.runs.test_compress_tables import EVENT as ROW
from tests.runs.test_given import RECORD as LABELLED


def letter_by_letter(run):
  """Returns a run of the same text whose model is autoregressive, untrained."""
  event = EventSpec(run.record.event.shape, run.record.event.num_classes)
  network = TRUNKS["transformer"](width=8, num_layers=1, num_heads=2)
  model = MODELS["autoregressive"].make(event=event, network=network)
  params = filled(jax.eval_shape(model.init, batch_of(np.zeros((2, *event.shape), np.int32)), jax.random.key(0))[0])
  record = run.record._replace(config={**run.record.config, "model": {"kind": "autoregressive"}})
  return run._replace(model=model, params=params, state={}, record=record)


def rows_of_a_table(text_run):
  """Returns a run of rows of three columns whose model is masked diffusion, untrained."""
  codec = table_codec(Table(COLUMNS, frozenset({"NA", "-"})))
  network, process = TRUNKS["transformer"](width=8, num_layers=1, num_heads=2), PROCESSES["absorbing"]()
  section = {"process": process, "schedule": SCHEDULES["linear"](), "num_steps": 8}
  model = MODELS["diffusion"].make(event=ROW, network=network, **section)
  params = filled(jax.eval_shape(model.init, batch_of(np.zeros((2, *ROW.shape), np.int32)), jax.random.key(0))[0])
  config = {**text_run.record.config, "model": {"kind": "diffusion", "process": {"kind": "absorbing"}, "num_steps": 8}}
  record = RunRecord(config, ROW, codec, "column", None, "f" * 64, "made up", "a1")
  return Run(model, params, {}, record, media_of(ROW, codec, "column"), "nowhere", 1, False, None, folder="nowhere")


def with_labels(text_run):
  """Returns a run of arrays whose model has a distribution for each label, and one for none."""
  config = {**text_run.record.config, "model": {"kind": "made_up"}}
  record = LABELLED._replace(config=config)
  media = media_of(record.event, record.codec, "value")
  return Run(MODEL, {}, {}, record, media, "nowhere", 1, False, None, folder="nowhere")


@pytest.fixture(scope="session")
def models(text_run, map_run):
  runs = {"text": text_run, "letters": letter_by_letter(text_run), "maps": map_run}
  return {name: served(name, run) for name, run in runs.items()}


@pytest.fixture(scope="session")
def others(text_run):
  """Models of examples that the page shows as JSON."""
  runs = {"rows": rows_of_a_table(text_run), "labels": with_labels(text_run)}
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
  return client_of(models, worker)


def client_of(models, worker):
  """Returns what asks a server of these models."""
  pytest.importorskip("starlette", reason="starlette is not installed: pip install 'catgen[test]'")
  from starlette.testclient import TestClient

  from catgen.serving.app import application

  app = application(models, worker, host="127.0.0.1")
  return TestClient(app, base_url="http://127.0.0.1:8765", raise_server_exceptions=False)

"""What stands for values that training has not is in no sample and no completion where training rows have none."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.config import make_source
from catgen.data.tabular.codec import Table, never_drawn, table_codec, table_of
from catgen.data.tabular.columns import Column
from catgen.interfaces import EventSpec, SampleOptions
from catgen.media import media_of
from catgen.models import MODELS
from catgen.processes import PROCESSES, SCHEDULES
from catgen.runs.correct import correct
from catgen.runs.drawn import drawing
from catgen.runs.infill import infill
from catgen.runs.load import Run
from catgen.runs.record import RunRecord
from catgen.runs.sample import sample
from catgen.runs.standalone import programs
from catgen.runs.tensors import flat
from catgen.serving.performing import Draw, draw
from catgen.serving.served import served
from catgen.serving.worker import Job
from tests.contracts.making import initial
from tests.contracts.parts import transformer

COLUMNS = (
  Column("a", "categorical", ("x", "y"), missing="NA", unknown="other"),
  Column("b", "categorical", ("u",), unknown="other"),
  Column("c", "categorical", ("p", "q", "r"), unknown="other"),
)
SIZES = tuple(column.size for column in COLUMNS)
EVENT = EventSpec((3,), max(SIZES), sizes=SIZES)
TABLE = Table(COLUMNS, frozenset({"NA"}), with_other=frozenset({"c"}))
EVENTS = np.array(list(itertools.product(*map(range, SIZES))), np.int32)
OTHER = (EVENTS[:, 0] == 2) | (EVENTS[:, 1] == 1)  # that training rows have in the last column alone


def run_of(family, folder):
  if family == "autoregressive":
    model = MODELS[family].make(event=EVENT, network=transformer())
  else:
    kinds = {"masked": ("absorbing", "linear"), "uniform": ("uniform", "cosine")}[family]
    options = {"process": PROCESSES[kinds[0]](), "schedule": SCHEDULES[kinds[1]](), "num_steps": 4}
    model = MODELS["diffusion"].make(event=EVENT, network=transformer(), **options)
  params, state = initial(model)
  head = params["stack"]["head"]
  biased = head["bias"].at[jnp.array([2, 5, 9])].add(3.0)  # <other> is the most probable of each column
  params = {**params, "stack": {**params["stack"], "head": {**head, "bias": biased}}}
  codec = table_codec(TABLE)
  config = {"model": {"kind": family}, "sampling": {"batch_size": 256, "num_samples": 256}}
  record = RunRecord(config, EVENT, codec, "column", None, "", "", "")
  return Run(model, params, state, record, media_of(EVENT, codec, "column"), str(folder), 0, False, lambda: None)


@pytest.mark.parametrize(
  "family", ["autoregressive", *(pytest.param(each, marks=pytest.mark.slow) for each in ("masked", "uniform"))]
)
def test_it_is_never_drawn_where_no_training_row_has_it(family, tmp_path):
  run = run_of(family, tmp_path)
  x = sample(run, num_samples=256, pictures=False).x
  assert (x < SIZES).all()
  assert not (x[:, 0] == 2).any()
  assert not (x[:, 1] == 1).any()
  assert (x[:, 2] == 3).mean() > 0.2
  found = infill(run, {"a": "x"}, num_samples=64, pictures=False).x
  assert (found[:, 0] == 0).all()
  assert not (found[:, 1] == 1).any()
  assert (found[:, 2] == 3).any()


def test_an_exported_sampler_and_the_page_draw_it_no_more_than_that(tmp_path):
  run = run_of("autoregressive", tmp_path)
  files = programs(run, flat({"params": run.params}))
  sampler = jax.export.deserialize(files["sampler.stablehlo"])
  x = np.asarray(sampler.call(flat({"params": run.params}), np.uint32(0), np.arange(128, dtype=np.int32))[0])
  assert not ((x[:, 0] == 2) | (x[:, 1] == 1)).any()
  assert (x[:, 2] == 3).any()
  told = []
  job = Job("draw", 64, Draw(64, 0, None, None, states=False), None, told.append)
  list(draw(served("m", run), SampleOptions(), 2, [job]))
  rows = told[-1].value
  assert not any("<other>" in (row["a"], row["b"]) for row in rows)
  assert any(row["c"] == "<other>" for row in rows)


def test_nothing_is_corrected_to_it(tmp_path):
  uniform, autoregressive = run_of("uniform", tmp_path), run_of("autoregressive", tmp_path)
  for run, method in ((uniform, "bayes"), (uniform, "paper"), (autoregressive, "channel")):
    x = correct(run, {"a": "y", "b": "u", "c": "p"}, error_rate=0.7, method=method, pictures=False).x
    assert x[0] != 2
    assert x[1] != 1


def test_all_else_keeps_its_proportions_in_each_draw(tmp_path):
  """A row has the product of the conditionals of its cells, each without <other> and normalized."""
  run = run_of("autoregressive", tmp_path)
  log_prob = jax.jit(run.model.log_prob)
  p, drawn = (
    np.exp(np.float64(log_prob(params, batch_of(EVENTS), state=run.state))).reshape(SIZES)
    for params in (run.params, drawing(run))
  )
  assert p.reshape(-1)[OTHER].sum() > 0.5
  first, second = p.sum(axis=(1, 2)), p.sum(axis=2)
  of_first, of_second = first / first[[0, 1, 3]].sum(), second[:, :1] / second[:, :1]  # "b" has one value but <other>
  expected = of_first[:, None, None] * of_second[..., None] * (p / second[..., None])
  np.testing.assert_allclose(drawn.reshape(-1)[~OTHER], expected.reshape(-1)[~OTHER], rtol=1e-4)
  np.testing.assert_array_equal(drawn.reshape(-1)[OTHER], 0.0)
  np.testing.assert_allclose(drawn.sum(), 1.0, rtol=1e-5)


def test_training_rows_decide_and_older_runs_have_none(tmp_path):
  rows = "".join(f"{(i % 3 and 'x') or '<other>'},{i % 2}\n" for i in range(60))
  (tmp_path / "a.csv").write_text("a,b\n" + rows)
  section = {"kind": "table_file", "path": str(tmp_path / "a.csv"), "unknown": "other", "splits": (40, 10, 10)}
  codec = make_source(section).codec
  assert never_drawn(table_of(codec.spec)) == [(1, 2)]
  older = {name: value for name, value in codec.spec.items() if name != "with_other"}
  assert never_drawn(table_of(older)) == [(0, 1), (1, 2)]
  strict = make_source({**section, "unknown": "error"}).codec
  assert never_drawn(table_of(strict.spec)) == []

"""Many categories, little memory, and numbers at the edges of float32, against extended precision."""

import functools
import json
import math
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from catgen import bounds
from catgen.batches import batch_of
from catgen.config import load_config, make_source, make_stand_in, names
from catgen.data.arrays import array_source
from catgen.evaluation import comparison, results
from catgen.evaluation.likelihood import Likelihood
from catgen.interfaces import EventSpec, InputError
from catgen.media import maps, sequences
from catgen.media.medium import statistics
from catgen.models.diffusion import diffusion
from catgen.networks import TRUNKS
from catgen.processes import PROCESSES, SCHEDULES
from catgen.processes.levels import Level
from catgen.processes.schedules import continuous_level, spans
from catgen.runs import dry_run, evaluate, memory
from catgen.runs.command import Command, perform
from tests.cases.exact_costs import exact_level, instant_cost, normalized, step_cost

_TWO, _FOUR = "given left and above", "given left, above, above left, above right"
SIZES = (2, 27, 256, 50_257)
T, STEPS, TIMES = 1000, (1, 2, 10, 500, 990, 999, 1000), (1e-7, 1e-5, 1e-4, 0.01, 0.5, 0.99, 0.9999)
SCHEDULED = {
  "cosine": ("cosine", {}),
  "linear": ("linear", {}),
  "paper_cosine": ("paper_cosine", {}),
  **{f"power {power}": ("polynomial", {"power": power}) for power in (2.0, 4.0, 5.5, 10.0)},
}
QUICK = {
  ("uniform", 27, "cosine"),
  ("uniform", 27, "power 10.0"),
  ("absorbing", 27, "power 4.0"),
  ("absorbing", 27, "power 10.0"),
}
CONTINUOUS = ("cosine", "linear", "power 2.0", "power 4.0")
EVERY = [
  pytest.param(
    name, k, schedule, id=f"{name}-{k}-{schedule}", marks=[] if (name, k, schedule) in QUICK else pytest.mark.slow
  )
  for name in ("uniform", "absorbing")
  for k in SIZES
  for schedule in SCHEDULED
  if name == "uniform" or schedule != "paper_cosine"  # it keeps something at the end
]


def schedule_of(name: str):
  kind, keys = SCHEDULED[name]
  return SCHEDULES[kind].make(**keys)


@functools.cache
def predictions(num_classes: int) -> np.ndarray:
  """Returns log-probabilities [predictions, K], from uniform to certain; the data are class 1."""
  generator, of, k = np.random.default_rng(0), np.arange(num_classes), num_classes
  mild, strong = generator.normal(size=k), 8 * generator.normal(size=k)
  certain, nearly, wrong = 200.0 * (of == 1), (12 + np.log(k)) * (of == 1), 200.0 * (of == 0)
  either, few = 15.0 * (of < 2), np.where(of > max(1, k // 2), -np.inf, mild)
  with np.errstate(divide="ignore"):
    return np.log(normalized(np.stack([0.0 * mild, mild, strong, certain, nearly, wrong, either, few]))).astype(
      np.float32
    )


def examples(name: str, num_classes: int, moments, chosen=slice(None)):
  """Returns x_t, x, predictions and moments: every prediction at x_t = x and elsewhere (or masked), at all moments."""
  log_x0 = predictions(num_classes)[chosen]
  x_t = np.repeat([1, 0 if name == "uniform" else num_classes], len(log_x0)).astype(np.int32)
  number = len(moments) * len(x_t)
  return (
    np.tile(x_t, len(moments)),
    np.ones(number, np.int32),
    np.tile(log_x0, (2 * len(moments), 1)),
    np.repeat(moments, len(x_t)),
  )


@functools.cache
def costs(name: str, num_classes: int, function: str):
  """Returns (x_t, x, log_x0, *times) -> costs [n], and their gradients by the logits [n, K]; compiled once."""

  def total(log_x0, x_t, x, *times):
    found = getattr(PROCESSES[name].make(num_classes), function)(x_t, x, log_x0, *times)
    return found.sum(), found

  gradient = jax.jit(jax.grad(total, has_aux=True))

  def both(x_t, x, log_x0, *times):
    by_log, found = map(np.asarray, gradient(log_x0, x_t, x, *times))
    return found, by_log - normalized(log_x0) * np.longdouble(by_log).sum(-1, keepdims=True)

  return both


def assert_close(found, exact):
  """Within 1e-5 of the value or 1e-9; gradients within 1e-5 of their largest number or 1e-7 of the value, or 1e-9."""
  (cost, gradient), (exact_cost, exact_gradient) = found, exact
  assert np.isfinite(gradient).all()
  assert not np.isnan(cost).any()
  np.testing.assert_array_equal(np.isinf(cost), np.isinf(exact_cost))
  finite = np.isfinite(exact_cost)
  np.testing.assert_allclose(cost[finite], np.float64(exact_cost)[finite], rtol=1e-5, atol=1e-9)
  allowed = 1e-5 * np.abs(exact_gradient).max(-1) + 1e-7 * np.abs(exact_cost) + 1e-9
  assert (np.abs(gradient - exact_gradient).max(-1) < allowed)[finite].all()


def check_steps(name, num_classes, schedule, steps=STEPS, chosen=slice(None)):
  *example, at = examples(name, num_classes, steps, chosen)
  table = schedule_of(schedule).table(T)
  move = jax.tree.map(lambda values: values[at - 1], spans(table, np.arange(T + 1)))
  s, t = (Level(*(np.longdouble(values[when]) for values in table)) for when in (at - 1, at))
  assert_close(costs(name, num_classes, "kl")(*example, move), step_cost(name, *example, s, t))


def check_times(name, num_classes, schedule, times=TIMES, chosen=slice(None)):
  *example, at = examples(name, num_classes, np.float32(times), chosen)
  made, exact_at = schedule_of(schedule), at.astype(np.float64)
  level, slope = jax.tree.map(np.asarray, jax.jit(functools.partial(continuous_level, made))(at))
  exact = instant_cost(name, *example, exact_level(made, exact_at), made.slope(exact_at, np))
  assert_close(costs(name, num_classes, "kl_rate")(*example, level, slope), exact)


@pytest.mark.parametrize(("name", "num_classes", "schedule"), EVERY)
def test_g1_g3_g4_a_step_costs_what_extended_precision_says(name, num_classes, schedule):
  check_steps(name, num_classes, schedule)


@pytest.mark.parametrize(("name", "num_classes", "schedule"), [each for each in EVERY if each.values[2] in CONTINUOUS])
def test_g2_g3_an_instant_costs_what_extended_precision_says(name, num_classes, schedule):
  check_times(name, num_classes, schedule)


def test_g1_so_it_is_with_50257_categories():
  check_steps("uniform", 50_257, "cosine", (1,), slice(1, 8, 4))


@pytest.mark.parametrize(
  ("num_classes", "time", "share", "expected"),
  [
    (50_257, 0.01, 0.5, 3975.395),
    (27, 1e-5, 0.5, 2_102_039),
    pytest.param(256, 1e-4, 0.9, None, marks=pytest.mark.slow),
  ],
)
def test_g2_a_state_that_the_network_believes_in(num_classes, time, share, expected):
  """Noise that looks like data: the prediction gives x_t much, and the excess y - 1 is near -1."""
  log_x0 = np.full((1, num_classes), np.log((1 - share) / (num_classes - 1)), np.float32)
  log_x0[0, 0] = np.log(share)
  example, made = (np.zeros(1, np.int32), np.ones(1, np.int32), log_x0), schedule_of("cosine")
  at = np.full(1, time, np.float32)
  level, slope = jax.tree.map(np.asarray, jax.jit(functools.partial(continuous_level, made))(at))
  found, _ = costs("uniform", num_classes, "kl_rate")(*example, level, slope)
  exact, _ = instant_cost("uniform", *example, exact_level(made, np.float64(at)), made.slope(np.float64(at), np))
  np.testing.assert_allclose(found, np.float64(exact), rtol=1e-6)
  if expected:
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("schedule", SCHEDULED)
@pytest.mark.parametrize("num_steps", [1, 2, 1000, 100_000])
def test_g3_what_is_kept_and_what_is_lost_are_each_exact(schedule, num_steps):
  table = schedule_of(schedule).table(num_steps)
  assert (table.keep[0], table.lost[0]) == (1.0, 0.0)
  assert (np.diff(table.lost) >= 0).all()
  np.testing.assert_allclose(table.keep + table.lost, 1.0, rtol=1e-15)
  if schedule.startswith("power"):
    power, times = SCHEDULED[schedule][1]["power"], np.arange(num_steps + 1) / np.longdouble(num_steps)
    np.testing.assert_allclose(table.lost, np.float64(times**power), rtol=1e-13)
  moves = spans(table, np.arange(num_steps + 1))
  for level in moves:
    assert all(np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all() for values in level)
    np.testing.assert_allclose(level.keep.astype(np.float64) + level.lost, 1.0, rtol=1e-6)


@pytest.mark.parametrize("power", [0.5, -1.0, float("nan"), float("inf")])
def test_g3_powers_that_are_none_are_refused(power):
  with pytest.raises(InputError, match=r"power is .*; it must be a number from 1 on"):
    SCHEDULES["polynomial"].make(power=power)


@pytest.mark.parametrize(("power", "num_steps"), [(10.5, 1000), (9.0, 4000), (4.5, 0), (1e6, 2)])
def test_g3_powers_that_float32_cannot_follow_are_refused_in_a_line(power, num_steps):
  with pytest.raises(InputError, match=r"loses only .* by its first step, at time .*; lower the power"):
    diffusion(
      EventSpec((4,), 3),
      network=TRUNKS["per_position"](),
      schedule=SCHEDULES["polynomial"](power=power),
      num_steps=num_steps,
    )


def test_g5_draws_that_all_are_impossible_count_as_none():
  weights = np.array([[-np.inf, 0.0, -3e4], [-np.inf, -np.inf, -3e4]], np.float32)
  np.testing.assert_array_equal(bounds.effective_sample_size(weights), [0.0, 1.0, 2.0])


def test_g5_an_evaluation_with_an_impossible_example_is_told_and_not_a_traceback():
  nats, positions = np.array([[-np.inf, -3.0]]), np.array([2, 2])
  estimate = bounds.estimate(nats, positions)
  found = Likelihood(
    estimate, {"prior": math.inf}, np.arange(2), nats, positions, "iwbo", 4, 1, 0.0, None, ("1 examples have no score",)
  )
  source = array_source({"train": np.zeros((4, 2), np.int32)}, "zeros", 2, (0.5, 0.25, 0.25))
  record = results.likelihood_record(found, source, split="test", step=1, ema=False, config={})
  assert json.loads(json.dumps(record, allow_nan=False))["value"] is None
  told = evaluate.shown(record)
  assert "? ± ?" in told
  assert "nan" not in told
  scores = comparison.Scores(nats, np.arange(2), positions)
  assert math.isnan(comparison.summarize([comparison.Evaluation(record, scores)]).bits)


def test_e2_an_n_gram_order_that_fits_is_chosen_and_said():
  """A chain in which each category has one follower: what a bigram knows, and no table of K^2 numbers."""
  x = (np.arange(40)[:, None] * 1000 + np.arange(32)) % 50_257
  source = array_source(
    {"train": x.astype(np.int32), "test": x.astype(np.int32)[:4]}, "a chain", 50_257, (0.5, 0.25, 0.25)
  )
  counted = sequences.baselines(source, source.splits["test"].examples(np.arange(4)))
  assert list(counted.estimates) == ["unigram", "bigram", "4-gram"]
  assert "longer n-grams than 4 do not fit 63 bits with 50,257 categories" in counted.note
  assert all(np.isfinite(found.bits) for found in counted.estimates.values())


def test_e2_maps_are_counted_with_as_many_neighbors_as_fit():
  x = np.random.default_rng(0).integers(0, 50_257, (40, 4, 5)).astype(np.int32)
  source = array_source({"train": x[:20], "test": x[20:24]}, "noise", 50_257, (0.5, 0.25, 0.25))
  counted = maps.baselines(source, source.splits["test"].examples(np.arange(4)))
  assert list(counted.estimates)[2:] == [_TWO, "given left, above, above left"]
  assert "with more neighbors 50,257 categories do not fit 63 bits" in counted.note
  for found in counted.estimates.values():  # noise that was hardly ever seen before
    assert found.bits > 15


@pytest.mark.parametrize(
  ("shape", "rows"), [((1, 6), ["given left"]), ((6, 1), ["given above"]), ((1, 1), []), ((2, 2), [_TWO, _FOUR])]
)
def test_e2_counts_of_maps_name_the_neighbors_that_there_are(shape, rows):
  x = np.random.default_rng(0).integers(0, 3, (40, *shape)).astype(np.int32)
  source = array_source({"train": x[:20], "test": x[20:]}, "noise", 3, (0.5, 0.25, 0.25))
  counted = maps.baselines(source, source.splits["test"].examples(np.arange(4)))
  assert list(counted.estimates) == ["independent pixels", "each place by itself", *rows]


def test_e2_samples_are_compared_by_the_pairs_that_occur():
  categories = np.array([0, 50_256, 7])
  one, other = (batch_of(categories[np.array(each)][None]) for each in ([0, 1, 0, 1, 0], [1, 2, 1, 2, 1]))
  rows, found = statistics({"samples": one, "training data": other}, 50_257, "value")
  assert found["samples"].pairs.codes.tolist() == [50_256, 50_256 * 50_257]
  assert rows[-1][1:] == ["1.0000", "0.0000"]


PAPERS = sorted(
  name for name in names() if name.startswith("paper/") and "shuffling" not in name
)  # whose data are made


@pytest.mark.parametrize("name", PAPERS)
def test_b8_what_an_example_of_the_papers_is_needs_no_data(name):
  data = load_config(name).values["data"]
  source = make_stand_in(data)
  classes = {"text8": 256 if data.get("as_bytes") else 27, "enwik8": 256, "cityscapes": 8}[data["kind"]]
  shape = (32, 64) if data["kind"] == "cityscapes" else (data["length"],)
  if "transformer" not in name:  # these have windows or segments of their own
    assert shape == {"text8": (256,), "enwik8": (320,), "cityscapes": (32, 64)}[data["kind"]]
  assert source.event == EventSpec(shape, classes)
  assert "not read" in source.description
  assert source.splits["train"].crops(np.array([0, 7])).x.shape == (2, *shape)


@pytest.mark.parametrize(
  "keys",
  [
    {"kind": "text_file", "alphabet": "text8"},
    {"kind": "text_file", "alphabet": "bytes"},
    {"kind": "text_lines", "alphabet": "abc \n", "splits": (2, 1, 1)},
    {"kind": "text_lines", "alphabet": "abc \n", "end": True, "splits": (2, 1, 1)},
    {"kind": "array_file", "num_classes": 99},
    {"kind": "array_file", "num_classes": 99, "ignore": (98,)},
  ],
)
def test_b8_what_the_keys_say_is_what_the_data_are(keys, tmp_path):
  path = tmp_path / "x"
  if keys["kind"] == "array_file":
    path = path.with_suffix(".npy")
    np.save(path, np.arange(990) % 99)
  else:
    path.write_text("abc a\nab cab\ncc\nb\n" if keys["kind"] == "text_lines" else "abc a" * 50)
  section = {**keys, "path": str(path), "length": 8}
  known, source = make_stand_in(section), make_source(section)
  assert (known.event, known.position) == (source.event, source.position)


def test_b8_where_only_the_data_say_what_an_example_is_they_are_read():
  for section in (
    {"kind": "text_file", "path": "x"},
    {"kind": "array_file", "path": "x.npy", "num_classes": 5},
    {"kind": "array_file", "path": "x.npy", "length": 5},
    {"kind": "array_file", "path": "x.npz", "length": 5, "num_classes": 5},
    {"kind": "label_maps", "path": "x"},
  ):
    assert make_stand_in(section) is None
  with pytest.raises(InputError, match="classes is 9"):
    make_stand_in({"kind": "cityscapes", "classes": 9})


TINY = {
  "data.kind": "text8",
  "data.length": "16",
  "model.network.num_layers": "1",
  "model.network.width": "32",
  "training.batch_size": "8",
}


def test_e3_out_of_memory_in_training_is_a_line_with_parts_and_remedies():
  config = load_config("text_file", TINY).values
  with pytest.raises(InputError) as told, memory.explained(lambda: memory.of_training(config)):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4294967296 bytes.\n a long table")
  line = str(told.value)
  assert "\n" not in line
  assert line.startswith("out of memory: 4 GiB more were asked for; on each device there are optimizer ")
  for part in ("parameters", "num_microbatches=2 (now 1", "batch_size=4 (now 8)", "mesh.fsdp=2"):
    assert part in line


def test_e3_out_of_memory_in_other_commands_names_their_flags(capsys):
  sections = {"evaluation": {"batch_size": 32, "draws_at_once": 4}, "sampling": {"num_samples": 8}}
  run = SimpleNamespace(
    params={"w": jax.device_put(np.zeros((1024, 1024), np.float32))}, state={}, record=SimpleNamespace(config=sections)
  )
  flags = {"batch_size": None, "draws_at_once": 2, "pictures": True}
  expected = r"37.6 GiB more .* parameters 0.00391 GiB.*--batch_size=16.*--draws_at_once=1"
  with pytest.raises(InputError, match=expected), memory.explained(lambda: memory.of_run(run, flags)):
    raise MemoryError("Unable to allocate 37.6 GiB for an array with shape (50257, 100)")

  def greedy() -> None:
    raise MemoryError

  with pytest.raises(InputError, match=r"^out of memory. Try fewer or shorter examples, or a device"):
    perform([Command(greedy, str)], {}, {}, {"say": print, "progress": None, "color": False})


def test_e3_other_errors_pass():
  with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"), memory.explained():
    raise jax.errors.JaxRuntimeError("INTERNAL: something else")


@pytest.mark.slow
def test_b8_e3_a_dry_run_without_data_tells_the_temporaries_on_request():
  config = load_config("text_file", TINY).values
  told = dry_run.describe(dry_run.dry_run(config, compile_step=True))
  assert "text8 (not read: the configuration already says what an example is)" in told
  assert re.search(r"temporaries 0\.\d+ GiB", told)
  assert "temporaries not known (--compile_step)" in dry_run.describe(dry_run.dry_run(config))

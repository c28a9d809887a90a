"""Exported models: the same as their runs, whole or not at all, and read wherever a work directory is."""

import json
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import catgen
from catgen.batches import batch_of
from catgen.config import fill, load_config, make_model, small_section
from catgen.interfaces import Batch, InputError
from catgen.keys import example_keys
from catgen.media import media_of
from catgen.models import MODELS
from catgen.runs import export as export_module
from catgen.runs import exported
from catgen.runs.check import made_up_source
from catgen.runs.compare import compare
from catgen.runs.compare import describe as describe_comparison
from catgen.runs.export import describe, export
from catgen.runs.fork import fork
from catgen.runs.initial import check_there, split_step
from catgen.runs.load import Run, load
from catgen.runs.ls import ls
from catgen.runs.record import Ancestor, record_of
from catgen.runs.standalone import programs
from catgen.runs.tensors import flat, packed, unpacked
from catgen.runs.train import train
from catgen.runs.watch import new_checkpoints
from catgen.trees import leaves
from tests.parameters import filled
from tests.runs.test_check import MAP_SECTIONS, SECTIONS
from tests.tiny_run import environment, quiet, tiny_config

WORDS = ["the cat sat on a", "tac tac"]
FAMILIES = {name: (section, (2,)) for name, section in SECTIONS.items()}
FIRST = {section["kind"]: name for name, (section, _) in reversed(FAMILIES.items())}.values()  # of each family
FAMILIES |= {f"{name} of maps": (section, (2, 2)) for name, section in MAP_SECTIONS.items()}


def on_one_device(folder, **options):
  return load(folder, jax.devices()[:1], say=quiet, **options)


def like(run, trained):
  """Returns a run with the model of another one, which is the same and for which all is compiled already."""
  assert run.record.config["model"] == trained.record.config["model"]
  assert run.record.event == trained.record.event
  return run._replace(model=trained.model)


def same(one, other):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for (path, a), (_, b) in zip(leaves(one), leaves(other), strict=True):
    assert a.dtype == b.dtype, path
    np.testing.assert_array_equal(a, b, err_msg=path)


@pytest.fixture(scope="module")
def folder(text_run, tmp_path_factory):
  """The run of text, exported; do not change it."""
  output = str(tmp_path_factory.mktemp("models") / "tiny")
  assert describe(export(text_run, output=output)).startswith(f"{num_parameters(text_run):,} parameters of")
  return output


@pytest.fixture
def copy(folder, tmp_path):
  """Returns a copy of it."""
  return pathlib.Path(shutil.copytree(folder, tmp_path / "copy"))


def num_parameters(run):
  return sum(leaf.size for leaf in jax.tree.leaves(run.params))


def resealed(folder):
  """Has the sums agree with what was changed."""
  names = [path.name for path in folder.iterdir() if path.name != exported.SUMS]
  (folder / exported.SUMS).write_bytes(exported.sealed({name: (folder / name).read_bytes() for name in names}))


def made_up_run(section, shape, workdir):
  """Returns a run of a small model whose parameters are made up, not drawn or trained."""
  section = small_section(MODELS, fill(MODELS, section, "model"), "model")
  source = made_up_source(shape, 3, 0)
  model = make_model(section, source.event)
  x = jnp.zeros((4, *shape), jnp.int32)
  batch = Batch(x, jnp.ones(x.shape, bool), jnp.arange(4))
  params, state = jax.eval_shape(lambda key: model.init(batch, key), jax.random.key(0))
  record = record_of({**load_config("quickstart").values, "model": section}, source)
  return Run(
    model=model,
    params=filled(params),
    state=filled(state),
    record=record,
    media=media_of(record.event, record.codec, record.position),
    workdir=str(workdir),
    step=7,
    uses_ema=False,
    source=lambda: source,
    folder=str(workdir),
  )


def test_every_family_has_a_member():
  assert {FAMILIES[name][0]["kind"] for name in FIRST} == set(MODELS)


@pytest.mark.parametrize(
  "name", [pytest.param(name, marks=[] if name in FIRST else [pytest.mark.slow]) for name in FAMILIES]
)
def test_every_family_comes_back_bit_for_bit(name, tmp_path):
  """The function of (parameters, state) is made from the same section, so its probabilities are the same too."""
  run = made_up_run(*FAMILIES[name], tmp_path)
  export(run, output=str(tmp_path / "whole"), say=quiet)
  found = on_one_device(tmp_path / "whole")
  same(found.params, run.params)
  same(found.state, run.state)
  assert (found.step, found.uses_ema, found.record.exported.num_parameters) == (7, False, num_parameters(run))
  assert found.record._replace(exported=None, started_in="") == run.record._replace(
    started_in="", codec=found.record.codec, config=found.record.config
  )
  assert found.record.config["model"] == run.record.config["model"]
  assert found.record.codec.spec == run.record.codec.spec


def test_numbers_and_samples_are_those_of_the_run(text_run, folder):
  found = like(on_one_device(folder), text_run)
  np.testing.assert_array_equal(found.score(WORDS).nats, text_run.score(WORDS).nats)
  np.testing.assert_array_equal(found.sample(3, seed=5, num_steps=5).x, text_run.sample(3, seed=5, num_steps=5).x)
  assert found.decode(found.sample(1).x[0]) == text_run.decode(text_run.sample(1).x[0])


def test_half_the_room_rounds_matrices_alone(text_run, tmp_path):
  export(text_run, output=str(tmp_path / "half"), dtype="bfloat16", say=quiet)
  found = like(on_one_device(tmp_path / "half"), text_run)
  for (path, whole), (_, half) in zip(leaves(text_run.params), leaves(found.params), strict=True):
    assert half.dtype == np.float32
    if whole.ndim > 1:
      np.testing.assert_allclose(half, whole, rtol=2**-8, err_msg=path)  # to the nearest of eight binary digits
      assert not np.array_equal(half, whole)
    else:
      np.testing.assert_array_equal(half, whole)
  same(found.state, text_run.state)
  bits, rounded = text_run.score(WORDS).bits, found.score(WORDS).bits
  np.testing.assert_allclose(rounded, bits, atol=0.02)
  assert not np.array_equal(rounded, bits)
  names = safetensors.numpy.load  # what others read: matrices in bfloat16 by their names
  with pytest.raises(KeyError, match="BF16"):
    names((tmp_path / "half" / "model.safetensors").read_bytes())


def test_other_programs_read_names_and_arrays(text_run, folder):
  found = safetensors.numpy.load_file(f"{folder}/model.safetensors")
  expected = {"params": text_run.params} | ({"model_state": text_run.state} if text_run.state else {})
  assert found.keys() == dict(leaves(expected)).keys()
  np.testing.assert_array_equal(found["params/stack/head/kernel"], dict(leaves(text_run.params))["stack/head/kernel"])
  done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=False)
  assert done.returncode == 0


def test_all_is_used_without_the_data(text_run, folder, text, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  before = {path: path.read_bytes() for path in pathlib.Path(folder).iterdir()}
  found = like(on_one_device(folder), text_run)
  hidden = text.with_suffix(".hidden")
  text.rename(hidden)
  try:
    assert found.infill(text="the #at", hole="#", num_samples=2, num_steps=5).x.shape == (2, 16)
    assert len(found.decode(found.correct("the cet").x)) == 16
    with pytest.raises(InputError, match=r"does not exist.* --data=PATH says where the data of the run are now"):
      found.evaluate()
  finally:
    hidden.rename(text)
  found = like(on_one_device(folder, data=[str(text)]), text_run)
  evaluated = found.evaluate(split="validation", max_examples=8, num_replicates=1)
  (outputs,) = (tmp_path / "outputs").iterdir()
  assert outputs.name.startswith("tiny-")
  assert evaluated.path == f"outputs/{outputs.name}/results.json"
  assert {path: path.read_bytes() for path in pathlib.Path(folder).iterdir()} == before


def test_a_comparison_finds_what_was_written_elsewhere(text_run, folder, text, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  found = like(on_one_device(folder, data=[str(text)]), text_run)
  evaluated = found.evaluate(split="validation", max_examples=8, num_replicates=2)
  compared = compare(
    workdirs=(folder,),
    split="validation",
    data=[str(text)],
    sampling_repeats=0,
    num_maps=0,
    output="compared",
    say=quiet,
  )
  assert f"{evaluated.result['value']:.4f}" in describe_comparison(compared)


def test_pictures_of_an_exported_model_lie_below_the_current_folder(map_run, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  export(map_run, output="models/maps", say=quiet)
  found = like(on_one_device("models/maps"), map_run)
  (path,) = found.sample(2, pictures=True, num_steps=2, seed=1).pictures
  assert path.startswith("outputs/maps-")
  assert pathlib.Path(path).exists()


def test_the_card_has_what_is_said_and_what_is_known(text_run, workdir, tmp_path):
  (tmp_path / "said.md").write_text("Good at cats.\n")
  (tmp_path / "results.json").write_text(json.dumps([{"split": "test", "value": 1.25, "unit": "bits per character"}]))
  shutil.copy(f"{workdir}/metrics.jsonl", tmp_path)
  export(text_run._replace(folder=str(tmp_path)), output=str(tmp_path / "a"), card=str(tmp_path / "said.md"))
  card = (tmp_path / "a" / "card.md").read_text()
  assert card.startswith("# a\n\nGood at cats.\n")
  assert text_run.record.description.rpartition("/")[2] in card
  assert "| test | 1.2500 bits per character |" in card
  assert "seconds in all" in card
  assert on_one_device(tmp_path / "a").record.exported.training_seconds > 0
  assert json.loads((tmp_path / "a" / "results.json").read_text())[0]["value"] == 1.25
  export(text_run._replace(folder=str(tmp_path / "none")), output=str(tmp_path / "b"))
  assert "Nobody has said yet under which licence" in (tmp_path / "b" / "card.md").read_text()
  assert not (tmp_path / "b" / "results.json").exists()


def test_a_record_that_cannot_be_read_costs_its_part_of_the_card(text_run, tmp_path):
  (tmp_path / "results.json").write_text("x")
  told = []
  export(text_run._replace(folder=str(tmp_path)), output=str(tmp_path / "a"), say=told.append)
  assert len(told) == 1
  assert "the card goes without" in told[0]


def test_no_folder_of_the_machine_is_told(text_run, tmp_path):
  config = {**text_run.record.config, "data": {**text_run.record.config["data"], "path": "/home/me/secret/text.txt"}}
  lineage = (Ancestor("fork", "/home/me/secret/runs/a", 3),)
  record = text_run.record._replace(
    config=config, lineage=lineage, started_in="/home/me/secret", description="/home/me/secret/text.txt: 9 characters"
  )
  (tmp_path / "results.json").write_text(json.dumps([{"split": "test", "lineage": [lineage[0]._asdict()]}]))
  export(text_run._replace(record=record, folder=str(tmp_path)), output=str(tmp_path / "a"), say=quiet)
  assert not [path for path in (tmp_path / "a").iterdir() if b"secret" in path.read_bytes()]
  found = on_one_device(tmp_path / "a").record
  assert (found.config["data"]["path"], found.lineage[0].workdir, found.started_in) == ("text.txt", "a", "")
  assert found.description == "text.txt: 9 characters"
  assert json.loads((tmp_path / "a" / "results.json").read_text())[0]["lineage"][0]["workdir"] == "a"


def flipped(path):
  content = bytearray(path.read_bytes())
  content[-1] ^= 1
  path.write_bytes(content)


def shortened(path):
  path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [flipped, shortened])
@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "card.md"])
def test_a_changed_file_is_one_line(copy, name, damage):
  damage(copy / name)
  with pytest.raises(InputError, match=rf"copy/{name} is not what was exported: it has .* get the whole folder again"):
    on_one_device(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "card.md", "SHA256SUMS"])
def test_a_missing_file_is_one_line(copy, name):
  (copy / name).unlink()
  with pytest.raises(InputError, match=f"{name} is missing from {copy}; get the whole folder again"):
    on_one_device(copy)


def test_other_files_may_lie_beside_it(copy, folder):
  (copy / "notes.txt").write_text("mine")
  same(on_one_device(copy).params, on_one_device(folder).params)


def test_a_newer_format_names_the_version_that_reads_it(copy):
  content = json.loads((copy / "config.json").read_text())
  content["exported"] = {"format": 2, "catgen": "9.1", "new": "key"}
  (copy / "config.json").write_text(json.dumps(content))
  resealed(copy)
  with pytest.raises(InputError, match=r"format 2, and this version of catgen reads 1: use catgen 9\.1, which wrote"):
    on_one_device(copy)


@pytest.mark.parametrize(
  ("content", "shown"),
  [
    (b"", "is no file of safetensors"),
    (packed(flat({"a": np.zeros(2)}), {}), "holds no parameters"),
    (
      safetensors.numpy.save({"params/a": np.zeros(2), "params/a/b": np.zeros(2)}),
      "names that do not go together .*params/a",
    ),
    (safetensors.numpy.save({"params/a": np.zeros(2, np.complex64)}), "of type C64, which no array of a model has"),
  ],
)
def test_sealed_files_of_something_else_are_one_line(copy, content, shown):
  (copy / "model.safetensors").write_bytes(content)
  resealed(copy)
  with pytest.raises(InputError, match=shown):
    on_one_device(copy)


def test_only_what_was_exported_is_there(folder, text_run, tmp_path):
  assert [on_one_device(folder, step=step).step for step in ("best", "latest", text_run.step)] == [text_run.step] * 3
  with pytest.raises(InputError, match="holds the parameters of step 30, not of 7; leave --step out"):
    on_one_device(folder, step=7)
  averaged = str(tmp_path / "averaged")
  told = describe(export(text_run._replace(uses_ema=True), output=averaged))
  assert told.startswith(f"{num_parameters(text_run):,} averaged parameters of step 30")
  assert on_one_device(averaged).uses_ema
  assert not on_one_device(folder, ema=False).uses_ema
  with pytest.raises(InputError, match="holds the moving average of the parameters alone"):
    on_one_device(averaged, ema=False)


def test_an_export_is_whole_or_not_there(text_run, copy, tmp_path, monkeypatch):
  output = tmp_path / "new"
  before = {path.name: path.read_bytes() for path in copy.iterdir()}
  with pytest.raises(InputError, match="holds an exported model already; choose another --output, or --force"):
    export(text_run, output=str(copy))
  monkeypatch.setattr(export_module, "replacing", _full)
  for folder in (output, copy):
    with pytest.raises(InputError, match="No space left"):
      export(text_run, output=str(folder), force=True, dtype="bfloat16")
  monkeypatch.undo()
  assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]
  assert {path.name: path.read_bytes() for path in copy.iterdir()} == before
  export(text_run, output=str(copy), force=True, dtype="bfloat16")
  assert on_one_device(copy).record.exported.dtype == "bfloat16"
  assert sorted(path.name for path in tmp_path.iterdir()) == ["copy"]


def _full(path, *, remedy):
  raise InputError("cannot write: No space left on device")


def test_an_exported_model_is_exported_again(text_run, folder, tmp_path):
  export(on_one_device(folder), output=str(tmp_path / "again"), say=quiet)
  same(on_one_device(tmp_path / "again").params, text_run.params)


def test_nothing_is_put_over_a_folder_of_something_else(text_run, tmp_path):
  (tmp_path / "mine").write_text("mine")
  with pytest.raises(InputError, match="is there already, and holds no exported model"):
    export(text_run, output=str(tmp_path), force=True)
  assert (tmp_path / "mine").exists()


def test_it_is_begun_from_and_not_gone_on_with(text, folder, tmp_path):
  config = tiny_config(text, **{"training.num_steps": 0, "optimizer.warmup_steps": 0})
  told = []
  train(config, str(tmp_path / "run"), devices=jax.devices()[:1], init_from=folder, say=told.append)
  assert any(line.startswith("took ") and f"from {folder}, checkpoint 30" in line for line in told)
  with pytest.raises(InputError, match="holds an exported model, which is not trained on"):
    train(config, folder, say=quiet)
  with pytest.raises(InputError, match="of step 30, not of 7"):
    check_there(f"{folder}@7")
  with pytest.raises(InputError, match=r"without its optimizer; begin from its parameters by launch.train --init_from"):
    fork(str(tmp_path / "fork"), origin=folder)
  with pytest.raises(InputError, match="leave --watch out"):
    next(new_checkpoints(folder, 0.0))
  (listed,) = ls(folder=folder).runs
  assert (listed.state, listed.step, listed.family) == ("exported", 30, "diffusion")


@pytest.fixture
def package(folder, tmp_path, monkeypatch):
  """The package as if two models were part of it; the current folder is empty."""
  for name in ("text_masked", "text_autoregressive"):
    shutil.copytree(folder, tmp_path / "package" / "pretrained" / name)
  monkeypatch.setattr(exported.importlib.resources, "files", lambda _: tmp_path / "package")
  (tmp_path / "here").mkdir()
  monkeypatch.chdir(tmp_path / "here")
  return tmp_path / "package" / "pretrained"


def test_models_of_the_package_are_found_by_name(package, text_run, copy):
  same(on_one_device("pretrained/text_masked").params, text_run.params)
  assert catgen.load is load
  assert split_step("pretrained/text_masked@30") == (str(package / "text_masked"), 30)
  with pytest.raises(InputError, match=r"no model pretrained/text_maskd; there are pretrained/text_masked, "):
    load("pretrained/text_maskd")
  with pytest.raises(InputError, match=r"there are pretrained/text_autoregressive, pretrained/text_masked$"):
    load("pretrained/zzz")
  shutil.copytree(copy, "pretrained/mine")
  assert on_one_device("pretrained/mine").folder == "pretrained/mine"
  shutil.rmtree(package)
  with pytest.raises(InputError, match="this package holds none"):
    load("pretrained/text_masked")


def test_models_of_the_package_are_whole():
  for folder in exported.shipped().values():
    exported.verify(folder)


def test_trees_that_would_come_back_as_others_are_refused():
  for tree in ({"a": [np.zeros(2)]}, {"a": {}, "b": np.zeros(2)}, {"a/b": np.zeros(2), "c": {}}):
    with pytest.raises(InputError, match="cannot be exported"):
      flat(tree)
  scalar = {"a": {0: np.float32(3), 1: np.zeros((2, 0), np.int32)}, "0": np.asarray(True)}
  same(unpacked(packed(flat(scalar), {})), scalar)


WITHOUT_CATGEN = """
import sys

sys.modules["catgen"] = None  # whoever imports it fails

import json
import jax.export
import numpy as np
import safetensors.flax

tensors = safetensors.flax.load_file("model.safetensors")
said = json.load(open("programs.json"))
sampler, scorer = (jax.export.deserialize(open(said[name]["file"], "rb").read()) for name in ("sampler", "scorer"))
assert sampler.platforms == ("cpu", "cuda", "tpu")
x, valid = sampler.call(tensors, np.uint32(5), np.arange(3, dtype=np.int32))
nats = scorer.call(tensors, np.uint32(7), np.asarray(x)[:2], np.asarray(valid)[:2])
np.savez("found.npz", x=x, valid=valid, nats=nats)
"""


def test_programs_run_without_catgen(text_run, tmp_path):
  """Of any number of examples: three are drawn, two are scored. Alone, an example has other last digits."""
  output = tmp_path / "model"
  export(text_run, output=str(output), dtype="bfloat16", program=True, say=quiet)
  assert {"sampler.stablehlo", "scorer.stablehlo", "programs.json"} < set(exported.sums_of(str(output)))
  done = subprocess.run(
    [sys.executable, "-c", WITHOUT_CATGEN], cwd=output, env=environment(), capture_output=True, text=True, check=False
  )
  assert done.returncode == 0, done.stderr
  found, run = dict(np.load(output / "found.npz")), like(on_one_device(output), text_run)
  assert found["x"].shape == found["valid"].shape == (3, 16)
  assert (found["x"] == run.sample(3, seed=5).x).mean() > 0.9
  batch = batch_of(found["x"][:2], found["valid"][:2])
  keys = example_keys(jax.random.key(7), jnp.arange(2))
  bound = jax.jit(lambda batch, keys: run.model.bound(run.params, batch, keys, state=run.state, train=False).nats)
  np.testing.assert_allclose(found["nats"], bound(batch, keys), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_programs(name, tmp_path):
  """For any number of examples, and for CPUs, GPUs and TPUs."""
  run = made_up_run(*FAMILIES[name], tmp_path)
  files = programs(run, flat({"params": run.params} | ({"model_state": run.state} if run.state else {})))
  for each in ("sampler", "scorer"):
    made = jax.export.deserialize(files[f"{each}.stablehlo"])
    assert str(made.out_avals[0].shape[0]) == "b"
    assert made.platforms == ("cpu", "cuda", "tpu")


def test_a_missing_package_for_programs_is_one_line(text_run, tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, "flatbuffers", None)
  with pytest.raises(InputError, match=r"flatbuffers: pip install 'catgen\[programs\]'"):
    export(text_run, output=str(tmp_path / "a"), program=True)
  assert not list(tmp_path.iterdir())


def test_a_model_that_has_no_such_program_is_one_line(text_run, tmp_path):
  def sample(*_, **__):
    raise NotImplementedError("no rule\nfor this")

  run = text_run._replace(model=text_run.model._replace(sample=sample))
  with pytest.raises(
    InputError, match=r"the sampler of this model cannot be made a program \(no rule\); leave --program"
  ):
    export(run, output=str(tmp_path / "a"), program=True)

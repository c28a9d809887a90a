"""Programs of exported models, which run without catgen: those of every family, of labels and of exact scores."""

import json
import subprocess
import sys

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from catgen.batches import batch_of
from catgen.interfaces import InputError
from catgen.keys import example_keys
from catgen.runs import exported
from catgen.runs.export import export
from catgen.runs.sample import sample_options
from catgen.runs.standalone import programs
from catgen.runs.tensors import flat
from catgen.sources import Attribute
from tests.runs.exports import FAMILIES, like, made_up_run, on_one_device
from tests.tiny_run import ROOT, environment, quiet

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


@pytest.mark.slow  # programs are read and called below, in this process
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


def test_programs_of_labels_and_of_exact_scores(tmp_path):
  """Each example has its own labels, and the number of an attribute's values means that it is not given."""
  section = {"kind": "autoregressive", "network": "per_position"}
  run = made_up_run(section, (2,), tmp_path, (Attribute("color", ("red", "blue")), Attribute("size", ("s", "m", "l"))))
  params, tensors = jax.device_put(run.params), flat({"params": run.params})
  files = programs(run, tensors)
  about = json.loads(files["programs.json"])
  assert about["scorer"]["says"] == "log p(x) in nats"
  assert [each["name"] for each in about["sampler"]["inputs"][1:]] == ["seed", "numbers", "given"]
  assert about["sampler"]["inputs"][-1]["shape"] == ["b", 2]
  assert all(b"autoregressive.py" in files[f"{name}.stablehlo"] for name in ("sampler", "scorer"))
  assert not [name for name, content in files.items() if str(ROOT).encode() in content]  # no folder of this machine
  sampler, scorer = (jax.export.deserialize(files[f"{name}.stablehlo"]) for name in ("sampler", "scorer"))
  x = np.array([(a, b) for a in range(3) for b in range(3)], np.int32)
  valid, found = np.ones(x.shape, bool), {}
  for given in ((0, 0), (1, 2), (2, 3)):
    labels = np.tile(np.array(given, np.int32), (9, 1))
    found[given] = np.asarray(scorer.call(tensors, np.uint32(0), x, valid, labels))
    batch = batch_of(jnp.asarray(x), jnp.asarray(valid))._replace(given=jnp.asarray(labels))
    np.testing.assert_allclose(found[given], run.model.log_prob(params, batch, state={}), rtol=1e-5)
    np.testing.assert_allclose(np.exp(found[given]).sum(), 1.0, rtol=1e-5)
    numbers = np.arange(6, dtype=np.int32)
    drawn, _ = sampler.call(tensors, np.uint32(4), numbers, labels[:6])
    keys = example_keys(jax.random.key(4), jnp.asarray(numbers))
    options = sample_options(run.record.config, run.media)
    ours = run.model.sample(params, keys, given=jnp.asarray(labels[:6]), state={}, options=options)
    np.testing.assert_array_equal(drawn, ours.x)
  assert len({tuple(np.round(nats, 4)) for nats in found.values()}) == 3


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

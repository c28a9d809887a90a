"""Parameters out of checkpoints: no more is read than is wanted, into its shards, and what is read is checked."""

import os
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from catgen.training import checkpoint
from catgen.training.checkpoint import Checkpointer
from catgen.training.integrity import fingerprint
from catgen.training.restoring import Unreadable, restore_params
from catgen.training.sharding import make_mesh
from tests.training.trainer import Setting, build


@pytest.fixture(scope="module")
def trainer():
  return build("denoiser", Setting(devices=1))


def saved_before(state, identity):
  items = {name: {"tree": item, "fingerprint": fingerprint(item)} for name, item in checkpoint._items(state).items()}
  return ocp.args.Composite(
    **{name: ocp.args.StandardSave(item) for name, item in items.items()}, run=ocp.args.JsonSave(identity)
  )


KERNEL = np.random.default_rng(0).normal(size=(1024, 512)).astype(np.float32)  # 2 MiB, and hard to compress


@pytest.fixture(scope="module", params=["this version", "an older one"])
def large(request, trainer, tmp_path_factory):
  """A checkpoint of parameters and their average, 2 MiB each, as this version writes it, or one without fingerprints
  of the parts."""
  workdir, old = tmp_path_factory.mktemp("large"), request.param == "an older one"
  state = trainer.init()._replace(params={"layers": [{"kernel": KERNEL}]}, ema={"layers": [{"kernel": -KERNEL}]})
  with pytest.MonkeyPatch.context() as patch:
    if old:
      patch.setattr(checkpoint, "_save_args", saved_before)
    with Checkpointer(workdir) as checkpoints:
      checkpoints.save(1, jax.tree.map(jnp.asarray, state))
  return workdir, old


def bytes_read():
  lines = pathlib.Path("/proc/self/io").read_text().splitlines()
  return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="the kernel does not count")
@pytest.mark.parametrize(("wanted", "found"), [("all", 2), ("average", 1), ("params", 1)])
def test_only_what_is_wanted_leaves_the_disk(large, wanted, found):
  workdir, old = large
  before = bytes_read()
  restored = restore_params(workdir, wanted=wanted)
  read = (bytes_read() - before) / KERNEL.nbytes
  assert read == pytest.approx(2 if old else found, abs=0.2)  # older ones can only be checked as a whole
  assert (restored.params is None, restored.ema is None) == (wanted == "average", wanted == "params")
  assert sum(leaf.nbytes for leaf in jax.tree.leaves((restored.params, restored.ema))) == found * KERNEL.nbytes
  if wanted != "average":
    np.testing.assert_array_equal(restored.params["layers"][0]["kernel"], KERNEL)
  if wanted != "params":
    np.testing.assert_array_equal(restored.ema["layers"][0]["kernel"], -KERNEL)


def test_parameters_are_read_into_their_shards(large):
  mesh = make_mesh(fsdp=4)

  def layout(item):
    sharding = NamedSharding(mesh, PartitionSpec())
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), item)
    rows = NamedSharding(mesh, PartitionSpec("fsdp"))
    for name in ("params", "ema"):
      shapes[name] = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=rows), item[name])
    return shapes

  restored = restore_params(large[0], wanted="average", layout=layout)
  (leaf,) = jax.tree.leaves(restored.ema)
  assert {shard.data.shape for shard in leaf.addressable_shards} == {(256, 512)}
  np.testing.assert_array_equal(leaf, -KERNEL)


def test_a_flipped_bit_of_what_is_wanted_is_noticed_and_elsewhere_does_not_matter(trainer, tmp_path):
  state = trainer.init()._replace(params={"kernel": KERNEL}, ema={"kernel": -KERNEL})
  with Checkpointer(tmp_path) as checkpoints:
    checkpoints.save(1, jax.tree.map(jnp.asarray, state))
  told = []
  changed = state._replace(ema={"kernel": np.where(KERNEL.max() == KERNEL, 0, -KERNEL)})
  items = checkpoint._save_args(jax.tree.map(jnp.asarray, changed), {})["model"].item
  true = checkpoint._save_args(jax.tree.map(jnp.asarray, state), {})["model"].item
  path = tmp_path / "checkpoints" / "1" / "model"
  shutil.rmtree(path)
  with ocp.Checkpointer(ocp.StandardCheckpointHandler()) as writer:
    writer.save(path, args=ocp.args.StandardSave({**true, "tree": items["tree"]}))
  np.testing.assert_array_equal(restore_params(tmp_path, wanted="params").params["kernel"], KERNEL)
  with pytest.raises(Unreadable, match="no readable checkpoint latest"):
    restore_params(tmp_path, wanted="average", say=told.append)
  assert "its bits have changed" in told[0]

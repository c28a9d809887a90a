"""What tells that bits have changed, and that a disk is at fault."""

import errno
import os

import jax
import jax.numpy as jnp
import numpy as np

from catgen.training.integrity import fingerprint, storage_problem
from tests.training.trainer import Setting, build

DTYPES = ("float32", "bfloat16", "int32", "uint32", "bool")


def test_storage_errors_are_told_from_others():
  assert storage_problem(ValueError("Error writing: [os_error_code='28']")) == os.strerror(errno.ENOSPC)
  error = RuntimeError("write failed")
  error.__cause__ = OSError(errno.EROFS, "")
  assert storage_problem(error) == os.strerror(errno.EROFS)
  assert storage_problem(ValueError("Error reading: [os_error_code='2']")) is None
  for error in (OSError(errno.ENOENT, ""), ValueError("NOT_FOUND: Error reading local file")):
    assert storage_problem(error) is None
    assert storage_problem(error, writing=True) == os.strerror(errno.ENOENT)
  assert storage_problem(ValueError("another mistake")) is None


def test_the_fingerprint_sees_every_element_of_every_type_and_its_place():
  bits = np.random.default_rng(0).integers(0, 2, size=(3, 4))
  tree = {f"{name}/{dtype}": bits.astype(jnp.dtype(dtype)) for name in "ab" for dtype in DTYPES}
  number = int(fingerprint(tree))
  for name, x in tree.items():
    for at in np.ndindex(x.shape):
      changed = x.copy()
      changed[at] = 1 - changed[at] if x.dtype != np.bool_ else ~changed[at]
      assert int(fingerprint({**tree, name: changed})) != number
  for dtype in DTYPES:
    renamed = {f"c/{dtype}" if name == f"b/{dtype}" else name: x for name, x in tree.items()}
    assert int(fingerprint(renamed)) != number


def test_the_fingerprint_does_not_depend_on_devices():
  state, target = build("denoiser", Setting(devices=1)).init(), build("denoiser", Setting(fsdp=8)).target
  spread = jax.tree.map(lambda x, t: jax.device_put(x, t.sharding), jax.device_get(state), target)
  assert not jax.tree.leaves(spread.params)[0].is_fully_replicated
  assert int(fingerprint(state)) == int(fingerprint(spread))

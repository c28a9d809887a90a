"""The sampler and the scorer of a model as programs that run without catgen: serialized StableHLO, by jax.export.

Parameters are an argument, by the names and in the types of model.safetensors. See docs/MODELS.md.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export
from jaxtyping import Array, Bool, Float, Int

from catgen.interfaces import Batch, InputError, PyTree
from catgen.keys import example_keys
from catgen.runs.drawn import for_drawing
from catgen.runs.load import Run
from catgen.runs.sample import sample_options
from catgen.runs.tensors import widened
from catgen.trees import nested

ENDING = ".stablehlo"
ABOUT = "programs.json"
PLATFORMS = ("cpu", "cuda", "tpu")
BATCH = "b"  # the number of examples, any


def programs(run: Run, tensors: Mapping[str, np.ndarray]) -> dict[str, bytes]:
  """Returns the files of a model's programs, and a file that says what goes in and comes out.

  Args:
    run: the model, and how it is sampled from.
    tensors: what model.safetensors holds, by name.

  Raises:
    InputError: a package is missing, or a part of the model cannot be made a program of its own.
  """
  inputs = _inputs(run)
  arrays = {name: jax.ShapeDtypeStruct(array.shape, array.dtype) for name, array in tensors.items()}
  about: dict[str, Any] = {"jax": jax.__version__, "platforms": PLATFORMS}
  files = {}
  for name, function, taken in (
    ("sampler", _sampler(run), ("seed", "numbers", "given")),
    ("scorer", _scorer(run), ("seed", "x", "valid", "given")),
  ):
    some = {each: inputs[each] for each in taken if each in inputs}
    made = _exported(name, function, arrays, some)
    files[f"{name}{ENDING}"] = made[0]
    shown = [{"name": each, **_shown(spec)} for each, spec in some.items()]
    about[name] = {"file": f"{name}{ENDING}", "inputs": ["tensors", *shown], "outputs": list(map(_shown, made[1]))}
  about["sampler"]["says"] = "x, and where it is no category (False); number i is drawn as launch.sample draws it"
  exact = run.model.log_prob is not None
  about["scorer"]["says"] = "log p(x) in nats" if exact else "one draw, in nats, whose mean is at most log p(x)"
  return {**files, ABOUT: f"{json.dumps(about, indent=1)}\n".encode()}


def _inputs(run: Run) -> dict[str, jax.ShapeDtypeStruct]:
  """Returns what programs take besides the parameters; `given` only where the model has labels."""
  event, (size,) = run.model.event, export.symbolic_shape(BATCH)
  shape = (size, *event.shape)
  inputs = {
    "seed": jax.ShapeDtypeStruct((), jnp.uint32),
    "numbers": jax.ShapeDtypeStruct((size,), jnp.int32),
    "x": jax.ShapeDtypeStruct(shape, jnp.int32),
    "valid": jax.ShapeDtypeStruct(shape, jnp.bool_),
  }
  given = {"given": jax.ShapeDtypeStruct((size, len(event.given)), jnp.int32)} if event.given else {}
  return inputs | given


def _sampler(run: Run) -> Callable[..., Any]:
  """Returns (tensors, seed, numbers, given) -> x [b, *event], valid [b, *event]: one example by itself, for all."""
  options = sample_options(run.record.config, run.media)

  def sampler(
    tensors: Mapping[str, Array],
    seed: Int[Array, ""],
    numbers: Int[Array, "b"],
    given: Int[Array, "b attributes"] | None = None,
  ) -> tuple[Int[Array, "b *event"], Bool[Array, "b *event"]]:
    tree, key = _tree(tensors), jax.random.key(seed)
    params = for_drawing(run.record, tree["params"])

    def one(number: Int[Array, ""], given: Int[Array, "attributes"] | None) -> tuple[Array, Array]:
      keys, labels = example_keys(key, number[None]), None if given is None else given[None]
      drawn = run.model.sample(params, keys, given=labels, state=tree["model_state"], options=options)
      return jnp.asarray(drawn.x)[0], jnp.asarray(drawn.valid)[0]

    return jax.vmap(one)(numbers, given)

  return sampler


def _scorer(run: Run) -> Callable[..., Any]:
  """Returns (tensors, seed, x, valid, given) -> nats [b]."""
  model = run.model

  def scorer(
    tensors: Mapping[str, Array],
    seed: Int[Array, ""],
    categories: Int[Array, "b *event"],
    valid: Bool[Array, "b *event"],
    given: Int[Array, "b attributes"] | None = None,
  ) -> Float[Array, "b"]:
    tree, key = _tree(tensors), jax.random.key(seed)
    params, state = tree["params"], tree["model_state"]

    def one(categories: Array, valid: Array, number: Array, given: Array | None) -> Float[Array, ""]:
      batch = Batch(categories[None], valid[None], number[None], given=None if given is None else given[None])
      if model.log_prob is not None:
        return model.log_prob(params, batch, state=state)[0]
      return model.bound(params, batch, example_keys(key, batch.index), state=state, train=False).nats[0]

    return jax.vmap(one)(categories, valid, jnp.arange(categories.shape[0]), given)

  return scorer


def _tree(tensors: Mapping[str, Array]) -> PyTree:
  tree = nested({name: widened(tensor) for name, tensor in tensors.items()})
  return {"model_state": {}, **tree}


def _exported(
  name: str, function: Callable[..., Any], arrays: Mapping[str, Any], inputs: Mapping[str, Any]
) -> tuple[bytes, tuple[Any, ...]]:
  """Returns a program in bytes, and the shapes of what comes out of it."""
  try:
    import flatbuffers  # noqa: F401 (jax.export writes by it)
  except ImportError as error:
    raise InputError("programs are written by the package flatbuffers: pip install 'catgen[programs]'") from error
  try:
    with _files_by_name():
      made = export.export(jax.jit(function), platforms=PLATFORMS)(dict(arrays), *inputs.values())
    return bytes(made.serialize()), made.out_avals
  except (TypeError, ValueError, NotImplementedError) as error:  # of a part that has no such form, here or elsewhere
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    raise InputError(f"the {name} of this model cannot be made a program ({reason}); leave --program out") from error


@contextmanager
def _files_by_name() -> Iterator[None]:
  """A program says of each operation in which file it was written: here without the folders of this machine."""
  setting = "jax_hlo_source_file_canonicalization_regex"
  before = getattr(jax.config, setting)
  jax.config.update(setting, r".*[/\\]")
  try:
    yield
  finally:
    jax.config.update(setting, before)


def _shown(spec: Any) -> dict[str, Any]:
  return {"dtype": str(spec.dtype), "shape": [each if isinstance(each, int) else str(each) for each in spec.shape]}

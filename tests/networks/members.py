"""Small networks of every trunk in every role that it can have, away from their initialization.

At zero gates, tables and heads every statement would be empty.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from catgen.networks import TRUNKS
from catgen.networks.conditions import Conditions
from catgen.networks.roles import Causal, Conditioner, Denoiser, Encoder
from tests.parameters import drawn_by_numpy, filled

BATCH, EVENT, MAP, CLASSES, CHANNELS = 3, (6,), (4, 4), 5, 2
GIVEN = (2, 3)
ROLES: dict[str, Any] = {
  "denoiser": Denoiser,
  "causal": Causal,
  "encoder": Encoder,
  "conditioner": Conditioner,
  "causal_conditioner": functools.partial(Conditioner, causal=True),
}
SIZES: dict[str, dict[str, Any]] = {
  "transformer": {"width": 8, "num_layers": 1, "num_heads": 2, "time_width": 8},
  "deep_transformer": {"width": 8, "num_layers": 2, "num_heads": 2, "hidden_width": 12},
  "transformer_xl": {"width": 8, "num_layers": 2, "num_heads": 2, "hidden_width": 12},
  "lstm": {"width": 8, "time_width": 3, "hidden_width": 6, "lstm_width": 6, "output_width": 6},
  "per_position": {"width": 8, "output_width": 6},
  "none": {},
  "densenet": {"width": 8, "num_layers": 2, "growth": 4},
  "unet": {"widths": (8, 12), "num_layers": 1, "num_heads": 2, "time_width": 8},
  "local_linear_transformer": {"width": 8, "num_layers": 1, "num_heads": 2, "window": 2},
  "linear_attention_unet": {"width": 8, "multipliers": (1, 2), "dropout": 0.0},
  "pixel_cnn": {"width": 8, "num_layers": 3},
}
# Of the noise that is their parameters: small cells of an LSTM give little, unnormalized attention gives much.
SCALES = {"lstm": {"": 3.0}, "linear_attention_unet": {"attention": 0.3}}
ONLY_CAUSAL = {"pixel_cnn", "transformer_xl"}
MAPS = {"densenet", "unet", "linear_attention_unet", "pixel_cnn"}
BOTH_SIDES = {*MAPS, "local_linear_transformer"} - ONLY_CAUSAL  # these see positions on both sides
REFUSED = {
  **{(kind, role): "sees positions on all sides" for kind in BOTH_SIDES for role in ("causal", "causal_conditioner")},
  **{(kind, role): "sees only what came before" for kind in ONLY_CAUSAL for role in ROLES if "causal" not in role},
  **{("none", role): "reads nothing" for role in ROLES if role != "encoder"},
}


class Member(NamedTuple):
  """A trunk in a role."""

  kind: str
  role: str

  @property
  def event(self) -> tuple[int, ...]:
    return MAP if self.kind in MAPS else EVENT

  @property
  def causal(self) -> bool:
    return self.role.startswith("causal")


MEMBERS = [Member(kind, role) for kind in TRUNKS for role in ROLES if (kind, role) not in REFUSED]
# What takes long and only repeats what the same trunk shows in another role, and other trunks in the same role.
REPEATED = {
  *(Member("linear_attention_unet", role) for role in ("encoder", "conditioner")),
  *(Member(kind, "encoder") for kind in ("transformer", "lstm", "densenet", "unet")),
  *(Member(kind, "conditioner") for kind in ("unet", "local_linear_transformer", "deep_transformer")),
  *(Member(kind, "causal_conditioner") for kind in ("deep_transformer", "transformer_xl")),
  Member("deep_transformer", "encoder"),
  Member("local_linear_transformer", "encoder"),
  Member("lstm", "denoiser"),
  Member("deep_transformer", "denoiser"),
  Member("transformer", "conditioner"),
  Member("pixel_cnn", "causal_conditioner"),
}


def plain_role(kind: str) -> str:
  """Returns the role in which a trunk is tested where any would do."""
  return "encoder" if kind == "none" else "causal" if kind in ONLY_CAUSAL else "denoiser"


def build(
  kind: str, role: str = "denoiser", event: tuple[int, ...] | None = None, given: Any = (), **sizes: Any
) -> Any:
  """Returns a network whose parameters are noise; `given` = sizes of the attributes."""
  return nnx.merge(*_noise(kind, role, event, given, tuple(sorted(sizes.items()))))


@functools.cache
def _noise(*arguments: Any) -> tuple:
  with drawn_by_numpy():
    graph, shapes = nnx.split(nnx.eval_shape(lambda: _initialized(*arguments)))
  return graph, filled(shapes, scales=SCALES.get(arguments[0]))


def build_member(member: Member) -> Any:
  """Returns a network of noise that can be given two attributes, unless it is an encoder."""
  return build(*member, given=_given(member))


@functools.cache
def untrained(member: Member) -> Any:
  """Returns a network as `build_member` does, but as its initializers make it, by one program."""
  graphs = []

  def draw() -> Any:
    graph, state = nnx.split(_initialized(*member, None, _given(member), ()))
    graphs.append(graph)
    return state

  with drawn_by_numpy():
    state = jax.jit(draw)()
  return nnx.merge(graphs[0], state)


def untrained_part(part: Callable[[Any], Any], member: Member, **sizes: Any) -> Any:
  """Returns what `part` takes of an untrained network that cannot be given anything; nothing else of it is drawn."""
  return jax.jit(lambda: part(_initialized(*member, None, (), tuple(sizes.items()))))()


def _given(member: Member) -> tuple[int, ...]:
  return () if member.role == "encoder" else GIVEN


def _initialized(kind: str, role: str, event: tuple[int, ...] | None, given: Any, sizes: tuple) -> Any:
  recipe = TRUNKS[kind](**{**SIZES[kind], **dict(sizes)})
  counts = {"num_channels" if "conditioner" in role else "num_inputs": CHANNELS if "conditioner" in role else CLASSES}
  keywords = {**counts, "num_outputs": CLASSES, **({"given": given} if given else {})}
  return ROLES[role](recipe, Member(kind, role).event if event is None else event, **keywords, rngs=nnx.Rngs(0))


def data(role: str = "denoiser", event: tuple[int, ...] = EVENT) -> tuple[np.ndarray, ...]:
  """Returns the positional arguments of a role: categories or latents, and for a denoiser the time."""
  rng = np.random.default_rng(1)
  if "conditioner" in role:
    return (rng.normal(size=(BATCH, *event, CHANNELS)).astype(np.float32),)
  x = rng.integers(CLASSES, size=(BATCH, *event), dtype=np.int32)
  return (x, np.linspace(0.1, 0.9, BATCH, dtype=np.float32)) if role == "denoiser" else (x,)


def other(x: np.ndarray) -> np.ndarray:
  """Returns data that differ everywhere."""
  return (x + 1) % CLASSES if x.dtype == np.int32 else x + np.float32(1.0)


def at(x: np.ndarray, place: Any, values: Any) -> np.ndarray:
  """Returns a copy of x with other values at a place."""
  changed = x.copy()
  changed[place] = values
  return changed


def call(network: Any, arguments: tuple[Any, ...], **keywords: Any) -> np.ndarray:
  """Calls a network, compiled once for networks of the same structure."""
  return np.asarray(_call(*nnx.split(network), arguments, **keywords))


def shape_of_outputs(network: Any, arguments: tuple[Any, ...]) -> tuple[int, ...]:
  graph, state = nnx.split(network)
  return jax.eval_shape(functools.partial(_call, graph), state, arguments).shape


@functools.partial(jax.jit, static_argnums=0)
def _call(graph: Any, state: Any, arguments: tuple, **keywords: Any) -> jax.Array:
  return _outputs(nnx.merge(graph, state), arguments, keywords)


def _outputs(network: Any, arguments: tuple, keywords: dict[str, Any]) -> jax.Array:
  x, *time = arguments
  return network(x, Conditions(**keywords, time=time[0] if time else None))


def gradient(network: Any, arguments: tuple[Any, ...], **keywords: Any) -> tuple[Any, Any]:
  """Returns a scalar of the outputs and its gradient with respect to every parameter, as a pure dict."""
  value, state = _gradient(*nnx.split(network), arguments, **keywords)
  return value, nnx.to_pure_dict(state)


@functools.partial(jax.jit, static_argnums=0)
def _gradient(graph: Any, state: Any, arguments: tuple, **keywords: Any) -> tuple[Any, Any]:
  return jax.value_and_grad(lambda state: jnp.sum(jnp.sin(_call(graph, state, arguments, **keywords))))(state)


def run(member: Member, network: Any, *arguments: Any, valid: Any = None, given: Any = None) -> tuple[np.ndarray, Any]:
  """Returns the outputs of a member and the gradient of a scalar of them, all by one program for each member.

  valid, given: None = everything is valid, nothing is given.
  """
  keywords = {"valid": np.ones((BATCH, *member.event), bool) if valid is None else valid}
  if member.role != "encoder":
    keywords["given"] = np.broadcast_to(np.asarray(GIVEN if given is None else given, np.int32), (BATCH, 2))
  outputs, gradient = _run(*nnx.split(network), arguments, **keywords)
  return np.asarray(outputs), gradient


@functools.partial(jax.jit, static_argnums=0)
def _run(graph: Any, state: Any, arguments: tuple, **keywords: Any) -> tuple[Any, Any]:
  def scalar(state: Any) -> tuple[jax.Array, jax.Array]:
    outputs = _outputs(nnx.merge(graph, state), arguments, keywords)
    return jnp.sum(jnp.sin(outputs)), outputs

  return jax.grad(scalar, has_aux=True)(state)[::-1]


def decode(network: Any, x: Any, start: Any, **keywords: Any) -> jax.Array:
  """Returns outputs of all positions, one after the other, given what is read before the first."""
  return _decode(*nnx.split(network), x.reshape(BATCH, -1, *x.shape[1 + len(network.event_shape) :]), start, **keywords)


@functools.partial(jax.jit, static_argnums=0)
def _decode(graph: Any, state: Any, flat: jax.Array, start: Any, **keywords: Any) -> jax.Array:
  network = nnx.merge(graph, state)

  def step(carry: Any, position: jax.Array) -> Any:
    cache, previous = carry
    outputs, cache = network.decode(cache, previous, position, **keywords)
    return (cache, flat[:, position]), outputs

  first = (network.init_cache(BATCH), jnp.full_like(flat[:, 0], start))
  return jax.lax.scan(step, first, jnp.arange(flat.shape[1]))[1].swapaxes(0, 1)

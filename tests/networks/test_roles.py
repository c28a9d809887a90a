"""What every trunk promises in every role."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from catgen.interfaces import InputError
from catgen.kinds import keys
from catgen.networks import TRUNKS
from tests.networks.members import (
  BATCH,
  CLASSES,
  EVENT,
  GIVEN,
  MAPS,
  MEMBERS,
  REFUSED,
  REPEATED,
  ROLES,
  SIZES,
  Member,
  at,
  build,
  build_member,
  call,
  data,
  decode,
  other,
  plain_role,
  run,
  shape_of_outputs,
  untrained,
)
from tests.parameters import drawn_by_numpy

EVERY = np.array([[0, 3], [1, 1], [2, 0]], np.int32)  # attributes of the examples
CAUSAL = [member for member in MEMBERS if member.causal]
# A role and sizes of every trunk that drops activations; input dropout is of positions, in all its places.
DROPPING = [
  ("transformer", "denoiser", {"dropout": 0.5}),
  pytest.param("transformer", "causal", {"dropout": 0.5}, marks=pytest.mark.slow),  # by the same blocks
  ("deep_transformer", "causal", {"dropout": 0.5}),
  pytest.param("transformer_xl", "causal", {"dropout": 0.5}, marks=pytest.mark.slow),  # as the one before
  pytest.param("transformer_xl", "causal", {"attention_dropout": 0.5}, marks=pytest.mark.slow),
  ("lstm", "conditioner", {"input_dropout": 0.5}),
  ("lstm", "causal", {"input_dropout": 0.5}),
  ("densenet", "encoder", {"dropout": 0.5}),
  ("unet", "denoiser", {"dropout": 0.5}),
  ("pixel_cnn", "causal", {"dropout": 0.5}),
  pytest.param("linear_attention_unet", "denoiser", {"dropout": 0.5}, marks=pytest.mark.slow),  # as of the U-Net
]


def each_member(but=lambda member: False):
  """Parametrizes a test by members; those that repeat what others show are slow."""
  chosen = [member for member in MEMBERS if not but(member)]
  slow = [pytest.mark.slow]
  return pytest.mark.parametrize(
    "member", [pytest.param(member, marks=slow if member in REPEATED else ()) for member in chosen], ids=name_of
  )


def name_of(value):
  return f"{value.kind}-{value.role}" if isinstance(value, Member) else None


def some_invalid(member):
  """Returns validity with a hole, with an end and with nothing at all."""
  flat = np.ones((BATCH, int(np.prod(member.event))), bool)
  flat[0, -2:], flat[1, 2], flat[2] = False, False, False
  return flat.reshape(BATCH, *member.event)


def test_every_trunk_is_tested():
  assert set(SIZES) == set(TRUNKS)


@pytest.mark.parametrize(("kind", "role"), sorted(REFUSED))
def test_a_trunk_that_makes_no_sense_in_a_role_is_refused(kind, role):
  with pytest.raises(InputError, match=f"^{kind} .*{REFUSED[kind, role]}.* cannot be .*; choose one of transformer"):
    build(kind, role)


@pytest.mark.parametrize("kind", sorted(MAPS))
def test_a_trunk_of_maps_is_refused_where_events_are_none(kind):
  with pytest.raises(InputError, match=rf"{kind} needs maps, not events of shape \(8,\); .* choose one of transformer"):
    build(kind, event=(8,))


@each_member()
def test_a_network_holds_parameters_and_starts_as_its_role_says(member):
  network = untrained(member)
  _, parameters, rest = nnx.split(network, nnx.Param, ...)
  assert not jax.tree.leaves(rest)
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(parameters))
  outputs, _ = run(member, network, *data(member.role, member.event))
  assert outputs.dtype == jnp.float32
  assert outputs.shape == (BATCH, *member.event, CLASSES)
  if member.role in ("denoiser", "causal"):  # uniform predictions, but by the paper's network of maps and tied tables
    assert outputs.any() == (member.kind in ("linear_attention_unet", "transformer_xl"))
  elif member.kind == "none":
    assert not outputs.any()
    assert not jax.tree.leaves(parameters)
  else:  # features that differ from each other: else the components of a mixture would stay equal
    assert np.ptp(outputs, axis=-1).min() > 1e-3
  if "conditioner" in member.role and member.kind != "lstm":  # but not yet from position to position
    assert np.ptp(outputs, axis=tuple(range(outputs.ndim - 1))).max() < 1e-6


@pytest.mark.parametrize("kind", [kind for kind in SIZES if kind not in MAPS])
def test_the_axes_of_an_event_are_kept(kind):
  role = plain_role(kind)
  network = build(kind, role, event=(3, 2))
  assert shape_of_outputs(network, data(role, (3, 2))) == (BATCH, 3, 2, CLASSES)


@each_member()
def test_padding_never_reaches_valid_positions(member):
  network, valid = build_member(member), some_invalid(member)
  x, *rest = data(member.role, member.event)
  wide = valid.reshape(*valid.shape, *(1,) * (x.ndim - valid.ndim))
  outputs, _ = run(member, network, x, *rest, valid=valid)
  same, _ = run(member, network, np.where(wide, x, other(x)), *rest, valid=valid)
  np.testing.assert_array_equal(np.where(valid[..., None], outputs, 0), np.where(valid[..., None], same, 0))
  assert np.isfinite(outputs).all()
  if member.kind not in ("per_position", "none"):  # what is valid is read by the positions after a hole
    everything, _ = run(member, network, x, *rest)
    assert np.abs(everything - outputs).reshape(BATCH, -1, CLASSES)[1, 3:].max() > 1e-4


@each_member(but=lambda member: member.kind == "none")
def test_every_parameter_has_a_finite_gradient_that_is_somewhere_not_zero(member):
  network, arguments = build_member(member), data(member.role, member.event)
  for valid in (True, False):
    _, gradient = run(member, network, *arguments, valid=np.full((BATCH, *member.event), valid), given=EVERY)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
      assert np.isfinite(leaf).all(), path
      assert np.abs(leaf).max() > 0 or not valid, path


@each_member(but=lambda member: member.role == "encoder")
def test_what_is_given_counts_at_every_position_once_it_is_learned(member):
  arguments = data(member.role, member.event)
  np.testing.assert_array_equal(*(run(member, untrained(member), *arguments, given=each)[0] for each in (EVERY, None)))
  network = build_member(member)
  outputs, _ = run(member, network, *arguments, given=EVERY)
  for attribute in range(2):
    given = at(EVERY, np.s_[:, attribute], (EVERY[:, attribute] + 1) % 3)
    changed, _ = run(member, network, *arguments, given=given)
    assert np.abs(changed - outputs).max(axis=-1).min() > 1e-6


@pytest.mark.parametrize(
  ("kind", "role"),
  [  # a transformer masks what is invalid where it looks both ways; the rest is the roles'
    ("transformer", "denoiser"),
    ("transformer", "causal"),
    ("per_position", "conditioner"),
    ("per_position", "causal_conditioner"),
    pytest.param("transformer", "conditioner", marks=pytest.mark.slow),
    pytest.param("transformer", "causal_conditioner", marks=pytest.mark.slow),
  ],
)
def test_none_means_that_everything_is_valid_and_nothing_given(kind, role):
  member = Member(kind, role)
  network, arguments = build_member(member), data(role)
  np.testing.assert_allclose(call(network, arguments), run(member, network, *arguments)[0], rtol=1e-5, atol=1e-5)
  plain = nnx.to_pure_dict(nnx.state(build(*member)))["stack"]
  assert set(nnx.to_pure_dict(nnx.state(network))["stack"]) - set(plain) == {"given"}


def test_attributes_that_a_network_does_not_have_are_refused():
  with pytest.raises(InputError, match="attributes are given, but the network was built for none"):
    call(build("per_position"), data(), given=np.zeros((BATCH, 1), np.int32))
  with pytest.raises(InputError, match="1 attributes are given, but the network was built for 2"):
    call(build("per_position", given=GIVEN), data(), given=np.zeros((BATCH, 1), np.int32))


@each_member(but=lambda member: member.role != "denoiser")
def test_denoisers_depend_on_time_and_on_every_position(member):
  network, (x, time) = build_member(member), data(event=member.event)
  logits, _ = run(member, network, x, time)
  assert np.abs(run(member, network, x, time + np.float32(0.05))[0] - logits).max(axis=-1).min() > 1e-6
  if member.kind not in ("per_position", "densenet"):  # a DenseNet of two layers sees three pixels far
    for place in np.ndindex(member.event):
      there = (slice(None), *place)
      changed, _ = run(member, network, at(x, there, other(x)[there]), time)
      assert np.abs(changed - logits).max(axis=-1).min() > 1e-7


CAUSAL_SIZES = [
  *(pytest.param(each, {}, each.event, marks=pytest.mark.slow if each in REPEATED else ()) for each in CAUSAL),
  (Member("pixel_cnn", "causal"), {"size": 5, "num_layers": 1}, (3, 3)),
  pytest.param(Member("transformer", "causal"), {"conv_width": 3}, EVENT, marks=pytest.mark.slow),  # as the next one
  (Member("transformer", "causal"), {"conv_width": 2, "scan_layers": True, "num_layers": 2}, EVENT),
  pytest.param(Member("transformer", "causal"), {}, (3, 2), marks=pytest.mark.slow),  # in rows as the LSTM below
  pytest.param(
    Member("deep_transformer", "causal"), {"scan_layers": True, "remat": "full"}, EVENT, marks=pytest.mark.slow
  ),
  pytest.param(
    Member("transformer_xl", "causal"), {"scan_layers": True, "remat": "full"}, EVENT, marks=pytest.mark.slow
  ),
  (Member("lstm", "causal_conditioner"), {}, (3, 2)),
  (Member("lstm", "causal"), {"time_width": 0, "num_layers": 1}, EVENT),
]


def all_at_once(member, network, x):
  """Returns outputs in row-major order; a member as the other tests have it is run by their program."""
  usual = network.event_shape == member.event and nnx.split(network)[0] == nnx.split(build_member(member))[0]
  outputs = run(member, network, x, given=EVERY)[0] if usual else call(network, (x,), given=EVERY)
  return outputs.reshape(BATCH, -1, CLASSES)


@pytest.mark.parametrize(("member", "sizes", "event"), CAUSAL_SIZES, ids=name_of)
def test_a_causal_network_depends_on_earlier_positions_only_and_on_all_of_them(member, sizes, event):
  network, (x,) = build(*member, event=event, given=GIVEN, **sizes), data(member.role, event)
  outputs = all_at_once(member, network, x)
  for position in range(outputs.shape[1]):
    place = (slice(None), *np.unravel_index(position, event))
    changed = all_at_once(member, network, at(x, place, other(x)[place]))
    difference = np.abs(changed - outputs).max(axis=(0, 2))
    np.testing.assert_array_equal(difference[: position + 1], 0)
    seen = difference[position + 1 : position + 2 if member.kind == "per_position" else None]
    assert (seen > 1e-6).all()


@pytest.mark.parametrize(("member", "sizes", "event"), CAUSAL_SIZES, ids=name_of)
def test_one_position_after_the_other_gives_what_all_at_once_do(member, sizes, event):
  network, (x,) = build(*member, event=event, given=GIVEN, **sizes), data(member.role, event)
  parallel = all_at_once(member, network, x)
  assert np.std(parallel) > 0.1
  start = CLASSES if member.role == "causal" else 7.0  # a conditioner does not read what stands there
  np.testing.assert_allclose(decode(network, x, start, given=EVERY), parallel, atol=1e-5)


@pytest.mark.parametrize(("kind", "role", "sizes"), DROPPING)
def test_dropout_treats_an_example_alike_in_any_batch(kind, role, sizes):
  network, arguments = build(kind, role, **sizes), data(role, Member(kind, role).event)
  drawn = np.random.default_rng(3).integers(2**32, size=(2 * BATCH, 2), dtype=np.uint32)
  outputs, elsewhere = (
    call(network, arguments, keys=jax.random.wrap_key_data(each)) for each in (drawn[:BATCH], drawn[[3, 1, 5]])
  )
  np.testing.assert_allclose(outputs[1], elsewhere[1], rtol=1e-4, atol=1e-4)
  assert np.abs(outputs - elsewhere).max() > 1e-2


OF_OTHER_PARTS = ("transformer", "transformer_xl", "densenet", "unet", "local_linear_transformer", "pixel_cnn")
COARSE = [kind for kind in SIZES if "dtype" in keys(TRUNKS[kind].make)]


@pytest.mark.parametrize(
  "kind", [pytest.param(kind, marks=() if kind in OF_OTHER_PARTS else pytest.mark.slow) for kind in COARSE]
)
def test_bfloat16_is_close_to_float32(kind):
  member = Member(kind, plain_role(kind))
  arguments, given = data(member.role, member.event), np.broadcast_to(np.int32(GIVEN), (BATCH, len(GIVEN)))
  exact, _ = run(member, build_member(member), *arguments, given=given)
  coarse = call(build(*member, given=GIVEN, dtype="bfloat16"), arguments, given=given)
  assert coarse.dtype == np.float32
  assert 0 < np.sqrt(np.mean(np.square(exact - coarse))) < 0.03 * np.std(exact)


@pytest.mark.parametrize(
  ("kind", "sizes", "named"),
  [
    ("local_linear_transformer", {"window": 4}, "window 4"),
    ("local_linear_transformer", {"num_heads": 3}, "num_heads"),
    ("transformer", {"num_heads": 3}, "num_heads 3"),
    ("transformer", {"num_heads": 8}, "head size"),
    ("transformer", {"dtype": "float16"}, "float16"),
    ("transformer", {"conv_width": 2}, "conv_width"),
    ("transformer", {"time_width": 7}, "time_width"),
    ("transformer", {"dropout": 1.0}, "dropout"),
    ("transformer", {"event": (2, 2, 2)}, "head size"),
    ("lstm", {"time_width": 8}, "time_width 8"),
    ("lstm", {"input_dropout": -0.1}, "input_dropout"),
    ("densenet", {"dropout": 1.5}, "dropout"),
    ("pixel_cnn", {"size": 4}, "size 4"),
    ("pixel_cnn", {"dropout": -0.5}, "dropout"),
    ("unet", {"event": (5, 8)}, "multiples of 2"),
    ("unet", {"patch_size": 2, "event": (6, 8)}, "multiples of 4"),
    ("unet", {"widths": (8, 18), "num_heads": 4}, "num_heads 4"),
    ("unet", {"dtype": "float16"}, "float16"),
    ("linear_attention_unet", {"width": 12}, "multiple of 8"),
    ("linear_attention_unet", {"event": (3, 8)}, "multiples of 2"),
  ],
)
def test_sizes_that_do_not_fit_are_named(kind, sizes, named):
  with pytest.raises(InputError, match=named):
    build(kind, plain_role(kind), **sizes)


@pytest.mark.parametrize("kind", TRUNKS)
@pytest.mark.parametrize("event", [(2,), (2, 2)])
def test_the_sizes_for_proofs_build_on_tiny_events(kind, event):
  if kind in MAPS and event != (2, 2):
    pytest.skip("of maps")
  role = plain_role(kind)
  assert set(TRUNKS[kind].small) <= set(keys(TRUNKS[kind].make))
  with drawn_by_numpy():
    abstract = nnx.eval_shape(lambda: ROLES[role](TRUNKS[kind](**TRUNKS[kind].small), event, 3, 3, rngs=nnx.Rngs(0)))
  assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(abstract))) < 200_000


def test_a_denoiser_that_is_told_no_time_is_refused():
  with pytest.raises(InputError, match=r"without a time; set Conditions\.time"):
    call(build("per_position"), data()[:1])

"""Codecs between what people read and integers: characters of an alphabet, bytes, plain integers."""

import json
from typing import Any

import numpy as np
from jaxtyping import Array, Bool, Int32, Integer

from catgen.data import label_ids
from catgen.data.characters import UNKNOWN, character_table, code_points, encode_characters
from catgen.data.integers import check_range
from catgen.data.label_ids import PLAIN, LabelIds, are_valid, to_categories, to_ids, to_spec
from catgen.data.tabular.codec import table_codec, table_of
from catgen.data.tokens import token_codec
from catgen.interfaces import InputError
from catgen.sources import Codec, Legend


def alphabet_codec(alphabet: str) -> Codec:
  """Returns the codec in which category i is the i-th character of `alphabet` (two or more, all different)."""
  table = character_table(alphabet)
  shown = code_points(alphabet + UNKNOWN)

  def encode(text: Any) -> Int32[np.ndarray, "length"]:
    if not isinstance(text, str):
      raise InputError(f"text is needed here, not {type(text).__name__}")
    return encode_characters(text, table, alphabet).astype(np.int32)

  def decode(
    x: Integer[Array | np.ndarray, "length"], valid: Bool[Array | np.ndarray, "length"] | None = None, /
  ) -> str:
    ids = _mark_unknown(x, valid, len(alphabet))
    return shown[ids].astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")

  num_bytes = np.array([len(character.encode("utf-8", "surrogatepass")) for character in alphabet])
  return Codec(encode, decode, {"kind": "alphabet", "alphabet": alphabet}, num_bytes=num_bytes)


def byte_codec() -> Codec:
  """Returns the codec of the 256 byte values; text is taken and shown as UTF-8, broken sequences as U+FFFD."""

  def encode(text: Any) -> Int32[np.ndarray, "length"]:
    if not isinstance(text, str | bytes):
      raise InputError(f"text or bytes are needed here, not {type(text).__name__}")
    data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    return np.frombuffer(data, np.uint8).astype(np.int32)

  def decode(
    x: Integer[Array | np.ndarray, "length"], valid: Bool[Array | np.ndarray, "length"] | None = None, /
  ) -> str:
    ids = _mark_unknown(x, valid, 256)
    unknown = UNKNOWN.encode()
    data = b"".join(unknown if i == 256 else bytes([i]) for i in ids.tolist())
    return data.decode("utf-8", "replace")

  return Codec(encode, decode, {"kind": "bytes"}, num_bytes=np.ones(256, np.int64))


def ended(codec: Codec, end: int, length: int) -> Codec:
  """Returns the codec of texts with an end, in events of `length` positions: category `end`, from there to the last.

  Encoding fills up a text, which has at most length - 1 positions; decoding stops at the first end, whatever is after
  it. An example without an end is whole.
  """

  def encode(text: Any) -> Int32[np.ndarray, "length"]:
    ids = codec.encode(text)
    if ids.size >= length:
      raise InputError(
        f"the text has {ids.size:,} positions, but examples of this model have {length}, the end included; cut it to "
        f"{length - 1}"
      )
    return np.concatenate([ids, np.full(length - ids.size, end, np.int32)])

  def decode(
    x: Integer[Array | np.ndarray, "length"], valid: Bool[Array | np.ndarray, "length"] | None = None, /
  ) -> str:
    ids = np.asarray(x)
    stop = end_of(ids, end)
    if valid is None or stop == len(ids):
      return codec.decode(ids[:stop], valid)
    return codec.decode(np.where(np.asarray(valid)[:stop], ids[:stop], -1))  # before an end nothing is padding

  num_bytes = None if codec.num_bytes is None else np.append(codec.num_bytes, 0)
  return Codec(encode, decode, {**codec.spec, "end": [end, length]}, end=end, num_bytes=num_bytes)


def without_end(codec: Codec) -> Codec:
  """Returns the codec of parts of texts: where texts have an end, encoding adds none, and takes what has any length."""
  if codec.end is None:
    return codec
  return from_spec(_without_end(codec.spec))


def end_of(x: Integer[np.ndarray, "length"], end: int | None) -> int:
  """Returns where the first end of one example is, or how many positions it has if there is none."""
  ends = np.flatnonzero(x == end) if end is not None else np.zeros(0, int)
  return int(ends[0]) if ends.size else len(x)


def integer_codec(
  num_classes: int, shape: tuple[int, ...], legend: Legend | None = None, labels: LabelIds = PLAIN
) -> Codec:
  """Returns the codec of integer arrays: checks shape and range. Arrays hold the user's own ids.

  Encoding gives -1 where an id is ignored. Decoding gives -1 (see `LabelIds.nothing`) for what is no category, and for
  invalid positions the first id that is ignored, or -1.

  Args:
    num_classes: K.
    shape: of an example.
    legend: names and colors of the categories, where the arrays are label maps.
    labels: which id is which category.
  """

  def encode(values: Any) -> Int32[np.ndarray, "*event"]:
    x = np.asarray(values)
    if x.dtype.kind not in "biu":
      raise InputError(f"integers are needed here, not {x.dtype}")
    if x.shape != tuple(shape):
      raise InputError(f"an array of shape {tuple(shape)} is needed here, not {x.shape}")
    valid, found = are_valid(x, labels.ignore), to_categories(x, labels)
    check_range(np.where(valid, found, 0), num_classes)
    return np.where(valid, found, -1).astype(np.int32)

  def decode(
    x: Integer[Array | np.ndarray, "*event"], valid: Bool[Array | np.ndarray, "*event"] | None = None, /
  ) -> Integer[np.ndarray, "*event"]:
    return to_ids(x, valid, labels)

  spec: dict[str, Any] = {"kind": "integers", "num_classes": num_classes, "shape": list(shape), **to_spec(labels)}
  if legend is not None:
    spec["legend"] = {name: list(values) for name, values in legend._asdict().items()}
  return Codec(encode, decode, spec, legend)


def from_spec(spec: dict[str, Any]) -> Codec:
  """Returns the codec that `Codec.spec` describes; no data is needed."""
  kind = spec.get("kind")
  if "end" in spec:
    return ended(from_spec(_without_end(spec)), *spec["end"])
  if kind == "alphabet":
    return alphabet_codec(spec["alphabet"])
  if kind == "bytes":
    return byte_codec()
  if kind == "tokens":
    return token_codec(json.dumps(spec["tokenizer"]))
  if kind == "table":
    return table_codec(table_of(spec))
  if kind == "integers":
    legend = spec.get("legend")
    known = legend and Legend(**{name: tuple(values) for name, values in legend.items()})
    return integer_codec(spec["num_classes"], tuple(spec["shape"]), known, label_ids.from_spec(spec))
  raise InputError(f"codec kind {kind!r} is unknown; the kinds are alphabet, bytes, tokens, table and integers")


def _without_end(spec: dict[str, Any]) -> dict[str, Any]:
  return {name: value for name, value in spec.items() if name != "end"}


def _mark_unknown(
  x: Integer[Array | np.ndarray, "length"], valid: Bool[Array | np.ndarray, "length"] | None, num_classes: int, /
) -> Integer[np.ndarray, "shown"]:
  """Returns categories with `num_classes` for what is unknown; invalid positions at the end are padding, dropped."""
  ids = np.asarray(x).astype(np.int64)
  known = (ids >= 0) & (ids < num_classes)
  if valid is None:
    return np.where(known, ids, num_classes)
  used = np.flatnonzero(valid)
  stop = int(used[-1]) + 1 if used.size else 0
  return np.where(known & np.asarray(valid), ids, num_classes)[:stop]

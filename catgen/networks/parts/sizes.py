"""The sizes of a transformer's blocks, checked."""

from typing import NamedTuple

import numpy as np

from catgen.interfaces import InputError
from catgen.networks.parts.dropout import check_rate
from catgen.networks.parts.linear import Init
from catgen.networks.parts.precision import compute_dtype

WIDE = 512  # features


class BlockSizes(NamedTuple):
  """What a block is built from; made by `block_sizes` or `plain_sizes`."""

  width: int
  num_heads: int
  hidden_width: int  # of the gated perceptron
  time_width: int | None  # None = no time
  causal: bool
  conv_width: int  # taps of the depthwise convolution before attention; 0 = none
  dropout: float  # of what a branch gives
  dtype: np.dtype
  # of the blocks of Vaswani et al. (2017) alone
  plain: bool = False  # attention with biases, its queries and keys neither rotated nor normalized
  attention_dropout: float = 0.0  # of the weights of attention
  hidden_dropout: float = 0.0  # within the perceptron
  init: Init = "normal"  # of all kernels


def block_sizes(
  *,
  width: int,
  num_heads: int,
  mlp_ratio: float,
  dropout: float,
  dtype: str,
  causal: bool = False,
  time_width: int | None = None,
  conv_width: int = 0,
  hidden_multiple: int | None = None,
) -> BlockSizes:
  """Returns the sizes of a block, its perceptron mlp_ratio times the width, rounded to a multiple of `hidden_multiple`.

  None stands for 8 below a width of `WIDE`, and from there on for 128, the side of the units that multiply: sizes in
  between are padded there, and few numbers of devices divide them.

  Raises:
    InputError: names the one that does not fit.
  """
  if width % num_heads:
    raise InputError(f"num_heads {num_heads} does not divide width {width}")
  if conv_width < 0 or (conv_width and not causal and conv_width % 2 == 0):
    raise InputError(f"conv_width must be 0 or odd (any positive number in a causal network), not {conv_width}")
  multiple = hidden_multiple or (128 if width >= WIDE else 8)
  hidden_width = multiple * round(mlp_ratio * width / multiple)
  return BlockSizes(
    width, num_heads, hidden_width, time_width, causal, conv_width, check_rate(dropout), compute_dtype(dtype)
  )


def plain_sizes(
  *,
  width: int,
  num_heads: int,
  hidden_width: int,
  dtype: str,
  causal: bool,
  dropout: float = 0.0,
  attention_dropout: float = 0.0,
  hidden_dropout: float = 0.0,
  init: Init = "normal",
) -> BlockSizes:
  """Returns the sizes of a block of Vaswani et al. (2017).

  Raises:
    InputError: names the one that does not fit.
  """
  if width % num_heads:
    raise InputError(f"num_heads {num_heads} does not divide width {width}")
  rates = (check_rate(attention_dropout, "attention_dropout"), check_rate(hidden_dropout, "hidden_dropout"))
  return BlockSizes(
    width, num_heads, hidden_width, None, causal, 0, check_rate(dropout), compute_dtype(dtype), True, *rates, init
  )

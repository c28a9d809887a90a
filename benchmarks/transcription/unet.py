"""The paper's U-Net in plain PyTorch: a transcription from its sizes, with catgen's names of parameters."""

import itertools
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from benchmarks.transcription.text import time_features

GROUPS, HEADS, HEAD_DIM = 8, 4, 32


class ConvNormMish(nn.Module):
  """3 x 3 convolution, group norm, Mish."""

  def __init__(self, num_inputs: int, num_outputs: int) -> None:
    super().__init__()
    self.conv, self.norm = nn.Conv2d(num_inputs, num_outputs, 3, padding=1), nn.GroupNorm(GROUPS, num_outputs)

  def forward(self, h: torch.Tensor) -> torch.Tensor:
    """Returns features of every position."""
    return functional.mish(self.norm(self.conv(h)))


class ResidualBlock(nn.Module):
  """Two `ConvNormMish` with the time between them, and a skip."""

  def __init__(self, num_inputs: int, num_outputs: int, time_width: int) -> None:
    super().__init__()
    self.first, self.second = ConvNormMish(num_inputs, num_outputs), ConvNormMish(num_outputs, num_outputs)
    self.time = nn.Linear(time_width, num_outputs)
    self.skip = nn.Identity() if num_inputs == num_outputs else nn.Conv2d(num_inputs, num_outputs, 1)

  def forward(self, h: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Returns features [batch, outputs, height, width]; `time` [batch, time_width]."""
    inner = self.first(h) + self.time(functional.mish(time))[:, :, None, None]
    return self.second(inner) + self.skip(h)


class LinearAttention(nn.Module):
  """h plus attention over all positions, linear in their number, times a scalar that is zero at first."""

  def __init__(self, width: int) -> None:
    super().__init__()
    self.query_key_value = nn.Conv2d(width, 3 * HEADS * HEAD_DIM, 1, bias=False)
    self.output, self.scale = nn.Conv2d(HEADS * HEAD_DIM, width, 1), nn.Parameter(torch.zeros(()))

  def forward(self, h: torch.Tensor) -> torch.Tensor:
    """Returns features of the same shape."""
    batch, _, height, width = h.shape
    query, key, value = self.query_key_value(h).view(batch, 3, HEADS, HEAD_DIM, -1).unbind(1)
    context = key.softmax(dim=-1) @ value.transpose(-1, -2)
    mixed = (context.transpose(-1, -2) @ query).reshape(batch, -1, height, width)
    return h + self.output(mixed) * self.scale


class Stage(nn.Module):
  """Two residual blocks and attention, at one resolution."""

  def __init__(self, num_inputs: int, num_outputs: int, time_width: int, dropout: float = 0.0) -> None:
    super().__init__()
    self.first = ResidualBlock(num_inputs, num_outputs, time_width)
    self.second = ResidualBlock(num_outputs, num_outputs, time_width)
    self.attention, self.dropout = LinearAttention(num_outputs), nn.Dropout(dropout)

  def forward(self, h: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Returns block, dropout, block, attention."""
    return self.attention(self.second(self.dropout(self.first(h, time)), time))

  def middle(self, h: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Returns block, attention, block."""
    return self.second(self.attention(self.first(h, time)), time)


class UNet(nn.Module):
  """From corrupted categories [batch, height, width] and times [batch] to logits [batch, height, width, K].

  Four levels of widths 64, 128, 256 and 512; the skip of the first level is not used, as published.
  """

  def __init__(
    self,
    num_classes: int = 8,
    *,
    width: int = 64,
    multipliers: Sequence[int] = (1, 2, 4, 8),
    dropout: float = 0.1,
  ) -> None:
    super().__init__()
    widths = [width, *(width * each for each in multipliers)]
    pairs = list(itertools.pairwise(widths))
    upwards = pairs[:0:-1]
    self.read_in = nn.Embedding(num_classes, width)
    self.time_hidden, self.time_output = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
    self.down = nn.ModuleList([Stage(before, after, width, dropout) for before, after in pairs])
    self.halve = nn.ModuleList([nn.Conv2d(each, each, 3, stride=2, padding=1) for each in widths[1:-1]])
    self.middle = Stage(widths[-1], widths[-1], width)
    self.up = nn.ModuleList([Stage(2 * after, before, width) for before, after in upwards])
    self.doubling = nn.ModuleList([nn.ConvTranspose2d(each, each, 4, stride=2, padding=1) for each, _ in upwards])
    self.last, self.head = ConvNormMish(widths[1], width), nn.Conv2d(width, num_classes, 1)

  def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Returns logits of the clean categories."""
    features = time_features(time, self.time_hidden.in_features)
    vector = self.time_output(functional.mish(self.time_hidden(features)))
    h, skips = self.read_in(x).permute(0, 3, 1, 2).contiguous(), []
    for level, stage in enumerate(self.down):
      h = stage(h, vector)
      skips.append(h)
      h = self.halve[level](h) if level < len(self.halve) else h
    h = self.middle.middle(h, vector)
    for stage, double in zip(self.up, self.doubling, strict=True):
      h = double(stage(torch.cat([h, skips.pop()], dim=1), vector))
    return self.head(self.last(h)).permute(0, 2, 3, 1)

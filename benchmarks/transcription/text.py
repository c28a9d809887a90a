"""The paper's text network in plain PyTorch: a transcription from its sizes, with catgen's names of parameters."""

import math

import torch
from torch import nn
from torch.nn import functional


def time_features(time: torch.Tensor, width: int) -> torch.Tensor:
  """Returns sines, then cosines, [batch, width] of time in [0, 1), whose fastest wave has 4000 radians a unit."""
  half = width // 2
  frequencies = torch.exp(torch.arange(half, device=time.device) * (-math.log(1e4) / (half - 1)))
  phases = 4000.0 * time[:, None] * frequencies[None]
  return torch.cat([phases.sin(), phases.cos()], dim=-1)


class Block(nn.Module):
  """Attention, of which half of the heads are local and half linear, and a perceptron; both after a layer norm."""

  def __init__(self, width: int, num_heads: int, window: int) -> None:
    super().__init__()
    self.num_heads, self.window = num_heads, window
    self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
    self.query_key_value = nn.Linear(width, 3 * width, bias=False)
    self.attention_output = nn.Linear(width, width)
    self.mlp_hidden, self.mlp_output = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

  def forward(self, h: torch.Tensor) -> torch.Tensor:
    """Returns features [batch, length, width] after both residual branches."""
    h = h + self.attention_output(self.attend(self.query_key_value(self.attention_norm(h))))
    return h + self.mlp_output(functional.gelu(self.mlp_hidden(self.mlp_norm(h))))

  def attend(self, query_key_value: torch.Tensor) -> torch.Tensor:
    """Returns what the heads give, side by side."""
    batch, length, _ = query_key_value.shape
    split = query_key_value.view(batch, length, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4)
    near, far = split.split(self.num_heads // 2, dim=2)
    mixed = torch.cat([self._local(*near), linear_attention(*far)], dim=1)
    return mixed.transpose(1, 2).reshape(batch, length, -1)

  def _local(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Returns softmax attention to the own window and the two beside it, [batch, heads, length, dim]."""
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    number = torch.arange(query.shape[2], device=query.device) // self.window
    if query.shape[2] > 2 * self.window:
      scores = scores.masked_fill((number[:, None] - number[None]).abs() > 1, -math.inf)
    return scores.softmax(dim=-1) @ value


def linear_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
  """Returns softmax_dim(query) / sqrt(dim) times softmax_length(key)^T value, [batch, heads, length, dim]."""
  context = key.softmax(dim=2).transpose(-1, -2) @ value
  return query.softmax(dim=-1) * query.shape[-1] ** -0.5 @ context


class Head(nn.Module):
  """A linear layer times a scalar that is zero at first."""

  def __init__(self, width: int, num_classes: int) -> None:
    super().__init__()
    self.output, self.scale = nn.Linear(width, num_classes), nn.Parameter(torch.zeros(()))

  def forward(self, h: torch.Tensor) -> torch.Tensor:
    """Returns logits."""
    return self.output(h) * self.scale


class TextNetwork(nn.Module):
  """From corrupted categories [batch, length] and times [batch] to logits [batch, length, K].

  Twelve layers of width 512 with sixteen heads, positions as the sum of two tables, and an additive vector of the time
  for each layer.
  """

  def __init__(
    self,
    num_classes: int = 27,
    length: int = 256,
    *,
    window: int = 128,
    width: int = 512,
    num_layers: int = 12,
    num_heads: int = 16,
  ) -> None:
    super().__init__()
    self.read_in = nn.Embedding(num_classes, width)
    self.window_positions = nn.Parameter(torch.randn(length // window, width))
    self.inner_positions = nn.Parameter(torch.randn(window, width))
    self.time_hidden, self.time_output = nn.Linear(width, 4 * width), nn.Linear(4 * width, width * num_layers)
    self.blocks = nn.ModuleList([Block(width, num_heads, window) for _ in range(num_layers)])
    self.norm, self.head = nn.LayerNorm(width), Head(width, num_classes)

  def forward(self, x: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
    """Returns logits of the clean categories."""
    h = self.read_in(x)
    h = h + (self.window_positions[:, None] + self.inner_positions[None]).reshape(1, -1, h.shape[-1])
    vectors = self.time_output(functional.softplus(self.time_hidden(time_features(time, h.shape[-1]))))
    for block, vector in zip(self.blocks, vectors.chunk(len(self.blocks), dim=-1), strict=True):
      h = block(h + vector[:, None])
    return self.head(self.norm(h))

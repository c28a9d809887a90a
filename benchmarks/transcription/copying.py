"""Parameters of catgen's networks in their transcriptions: the same names, other layouts."""

from typing import Any

import numpy as np
import torch
from torch import nn

from catgen.trees import leaves

_NAMES = {"kernel": "weight", "embedding": "weight", "double": "doubling"}  # the last is a method of every module


@torch.no_grad()
def copy_parameters(params: Any, network: nn.Module) -> None:
  """Copies catgen's parameters, of a denoiser, into a transcription of the same sizes; each must find its place."""
  places, done = dict(network.named_parameters()), set()
  for path, leaf in leaves(params):
    words = path.removeprefix("stack/").removeprefix("trunk/").split("/")
    *parents, last = (_NAMES.get(word, word) for word in words)
    module = network.get_submodule(".".join(parents))
    is_norm = isinstance(module, nn.LayerNorm | nn.GroupNorm)
    name = ".".join([*parents, "weight" if last == "scale" and is_norm else last])
    values = torch.tensor(_laid_out(np.asarray(leaf), module) if words[-1] == "kernel" else np.asarray(leaf))
    assert places[name].shape == values.shape, f"{name}: {tuple(places[name].shape)} and {tuple(values.shape)}"
    places[name].copy_(values)
    done.add(name)
  assert done == set(places), f"without a counterpart: {sorted(set(places) - done)}"


def _laid_out(kernel: np.ndarray, module: nn.Module) -> np.ndarray:
  """Returns a kernel [*taps, inputs, outputs] as PyTorch keeps it."""
  if isinstance(module, nn.Linear):
    return kernel.T
  kernel = kernel[None, None] if kernel.ndim == 2 else kernel
  if isinstance(module, nn.ConvTranspose2d):  # there the taps are counted from the other end
    return kernel[::-1, ::-1].transpose(2, 3, 0, 1).copy()
  return kernel.transpose(3, 2, 0, 1)

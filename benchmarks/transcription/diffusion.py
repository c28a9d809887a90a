"""Multinomial diffusion in plain PyTorch, equations 11 to 15 of the paper in logarithms; steps are numbered from 0."""

import math

import numpy as np
import torch
from torch import nn

FLOOR = -70.0  # the logarithm of zero in one-hot vectors


class Diffusion(nn.Module):
  """A network with the noise schedule, training loss and reverse step of the paper.

  Args:
    network: (x, time) -> logits, see `TextNetwork`.
    num_classes: K.
    num_steps: T.
  """

  def __init__(self, network: nn.Module, num_classes: int, num_steps: int) -> None:
    super().__init__()
    self.network, self.num_classes, self.num_steps = network, num_classes, num_steps
    log_step = np.log(step_factors(num_steps))
    log_kept = np.cumsum(log_step)
    tables = {
      "log_step": log_step,  # of alpha_t
      "log_step_lost": np.log(-np.expm1(log_step) / num_classes),
      "log_kept": log_kept,  # of alpha_bar_t
      "log_lost": np.log(-np.expm1(log_kept) / num_classes),
      "squares": np.zeros(num_steps),  # moving averages of squared losses, for the importance of each step
    }
    for name, values in tables.items():
      self.register_buffer(name, torch.tensor(values, dtype=torch.float32))
    self.register_buffer("counts", torch.zeros(num_steps, dtype=torch.int64))

  def loss(self, x: torch.Tensor) -> torch.Tensor:
    """Returns bits per position of the bound, by one importance-sampled step of each example [batch, *event]."""
    t, probability = self._draw_steps(len(x))
    clean = self._one_hot(x)
    x_t = draw(self._noised(clean, t))
    noisy = self._one_hot(x_t)
    truth, prediction = self.posterior(clean, noisy, t), self.posterior(self.predict(x_t, t), noisy, t)
    divergence = (truth.exp() * (truth - prediction)).sum(-1)
    reconstruction = -(clean.exp() * prediction).sum(-1)
    nats = torch.where(_wide(t, x.ndim) == 0, reconstruction, divergence).flatten(1).sum(1)
    with torch.no_grad():
      self.squares[t] = 0.9 * self.squares[t] + 0.1 * nats.detach() ** 2
      self.counts += torch.bincount(t, minlength=self.num_steps)
    last = self._noised(clean, torch.full_like(t, self.num_steps - 1))
    prior = (last.exp() * (last + math.log(self.num_classes))).flatten(1).sum(1)
    return (nats / probability + prior).sum() / (math.log(2) * x.numel())

  @torch.no_grad()
  def reverse(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Returns a draw of the state before [batch, *event], given the steps [batch]."""
    return draw(self.posterior(self.predict(x_t, t), self._one_hot(x_t), t))

  def predict(self, x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Returns log-probabilities of the clean categories."""
    return self.network(x_t, t.float() / self.num_steps).log_softmax(dim=-1)

  def posterior(self, clean: torch.Tensor, noisy: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Returns log p of the state before step t, Eq. 13, from log-probabilities of x_0 and the one-hot x_t."""
    before = torch.where(_wide(t, clean.ndim) == 0, clean, self._noised(clean, (t - 1).clamp(min=0)))
    kept, lost = (_wide(table[t], noisy.ndim) for table in (self.log_step, self.log_step_lost))
    return (before + torch.logaddexp(noisy + kept, lost)).log_softmax(dim=-1)

  def _noised(self, log_x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """Returns log q(x_t | x_0), Eq. 12."""
    kept, lost = (_wide(table[t], log_x.ndim) for table in (self.log_kept, self.log_lost))
    return torch.logaddexp(log_x + kept, lost)

  def _one_hot(self, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.one_hot(x, self.num_classes).float().sub(1.0).mul(-FLOOR)

  @torch.no_grad()
  def _draw_steps(self, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns steps [number] and their probabilities: uniform until each was seen ten times, then by importance."""
    weights = (self.squares + 1e-10).sqrt() + 1e-4
    weights[0] = weights[1]
    weights = torch.where((self.counts > 10).all(), weights, torch.ones_like(weights))
    t = torch.multinomial(weights, number, replacement=True)
    return t, weights[t] / weights.sum()


def step_factors(num_steps: int) -> np.ndarray:
  """Returns alpha_t of every step, float64 [T]: roots of ratios of squared cosines, which are at least 0.001."""
  times = np.arange(num_steps + 1) / num_steps
  squares = np.cos((times + 0.008) / 1.008 * np.pi / 2) ** 2
  return np.sqrt(np.clip(squares[1:] / squares[:-1], 0.001, 1.0))


def draw(log_probabilities: torch.Tensor) -> torch.Tensor:
  """Returns categories, by the largest of log-probabilities with Gumbel noise."""
  noise = -torch.log(-torch.log(torch.rand_like(log_probabilities) + 1e-30) + 1e-30)
  return (log_probabilities + noise).argmax(dim=-1)


def _wide(values: torch.Tensor, num_dims: int) -> torch.Tensor:
  return values.view(-1, *(1,) * (num_dims - 1))

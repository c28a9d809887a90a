"""The transcription's side of a comparison, in a process of its own, in which JAX does nothing: see `Transcribed`."""

import importlib.util
import itertools
import multiprocessing
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import numpy as np

from catgen.interfaces import InputError

MISSING = "PyTorch is not installed; the transcriptions need it: pip install torch"


class Task(NamedTuple):
  """What is timed."""

  kind: str  # "training step" or "reverse step"
  network: Mapping[str, Any]  # `model.network` of a configuration: the paper's text network or U-Net, with its sizes
  num_classes: int
  num_steps: int
  learning_rate: float
  x: np.ndarray  # [batch, *event]


class Transcribed:
  """A transcription at work in another process: in one, its training steps took ten times as long on a CPU.

  Raises:
    InputError: PyTorch is missing, or the process ended; when it is first asked.
  """

  def __init__(self, task: Task) -> None:
    context = multiprocessing.get_context("spawn")
    self._pipe, theirs = context.Pipe()
    self._process = context.Process(target=_serve, args=(theirs, task), daemon=True)
    self._process.start()
    theirs.close()

  def ask(self, number: int) -> Any:
    """Returns the seconds of a run when `number` are made one after another; 0: the version of PyTorch."""
    try:
      self._pipe.send(number)
      answer = self._pipe.recv()
    except (EOFError, OSError) as error:
      raise InputError("the process of the transcription ended") from error
    if isinstance(answer, Exception):
      raise InputError(" ".join(str(answer).split()))
    return answer

  def close(self) -> None:
    """Ends the process."""
    self._process.terminate()
    self._process.join()


def _serve(pipe: Connection, task: Task) -> None:
  try:
    version, run, wait = prepared(task)
    while True:
      number = pipe.recv()
      pipe.send(timed(run, wait, number) if number else version)
  except EOFError:
    return
  except Exception as error:  # a lack of memory, say: the other side tells it
    pipe.send(InputError(f"{type(error).__name__}: {error}"))


def timed(run: Callable[[], None], wait: Callable[[], None], number: int) -> float:
  """Returns the seconds of a run when `number` are started one after another, and the last is waited for."""
  started = time.perf_counter()
  for _ in range(number):
    run()
  wait()
  return (time.perf_counter() - started) / number


def prepared(task: Task) -> tuple[str, Callable[[], None], Callable[[], None]]:
  """Returns PyTorch's version, what makes a run and what waits for it; on a GPU where there is one, with TF32."""
  check_installed()
  import torch

  from benchmarks.transcription.diffusion import Diffusion

  torch.set_float32_matmul_precision("high")
  device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
  model = Diffusion(network_of(task), task.num_classes, task.num_steps).to(device)
  x = torch.tensor(task.x, dtype=torch.int64, device=device)
  optimizer = torch.optim.Adam(model.parameters(), task.learning_rate)
  steps = itertools.cycle(range(task.num_steps))

  def train() -> None:
    optimizer.zero_grad()
    model.loss(x).backward()
    optimizer.step()

  def reverse() -> None:
    model.reverse(x, torch.full((len(x),), next(steps), device=device))

  def wait() -> None:
    if device.type == "cuda":
      torch.cuda.synchronize()

  if task.kind == "reverse step":
    model.eval()
    return torch.__version__, reverse, wait
  return torch.__version__, train, wait


def check_installed() -> None:
  """Raises InputError where there is no PyTorch."""
  if importlib.util.find_spec("torch") is None:
    raise InputError(MISSING)


def network_of(task: Task) -> Any:
  """Returns the transcription of a network, of the same sizes."""
  from benchmarks.transcription.text import TextNetwork
  from benchmarks.transcription.unet import UNet

  if task.network["kind"] == "local_linear_transformer":
    sizes = {key: task.network[key] for key in ("window", "width", "num_layers", "num_heads")}
    return TextNetwork(task.num_classes, *task.x.shape[1:], **sizes)
  return UNet(task.num_classes, **{key: task.network[key] for key in ("width", "multipliers", "dropout")})

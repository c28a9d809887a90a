"""A trace of some steps of training: what host and devices did when, for Perfetto, TensorBoard and XProf."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

import jax

from catgen.cache import cache
from catgen.files import read_bytes, replacing
from catgen.interfaces import InputError
from catgen.paths import join, make_folder, parent_of, sizes_below

FOLDER = "tensorboard"  # below it the profiler names the folders as TensorBoard looks for them: plugins/profile/TIME


def steps_of(text: str) -> tuple[int, int]:
  """Returns the first step of a trace and the one after the last.

  >>> steps_of("10:15")
  (10, 15)

  Raises:
    InputError: they are not that.
  """
  found = re.fullmatch(r"(\d{1,12}):(\d{1,12})", text.strip())
  if found is None or int(found[1]) >= int(found[2]):
    raise InputError(f"profile is {text!r}; give FIRST:STOP, for example 10:15 for the steps 10 to 14")
  return int(found[1]), int(found[2])


class Profile:
  """Traces some steps; whatever goes wrong with that is the business of `may_fail`."""

  def __init__(
    self,
    steps: tuple[int, int],
    workdir: str,
    may_fail: Callable[[str], AbstractContextManager[None]],
    say: Callable[[str], None],
  ):
    self._first, self._stop = steps
    self.tried = False
    self._workdir, self._may_fail, self._say = workdir, may_fail, say
    self._stack: ExitStack | None = None
    self._folder = ""

  def __call__(self, step: int) -> bool:
    """Starts or ends the trace where that is due, before a step; returns whether it did something.

    The step before may still be under way: the trace has its end, and of the one that follows its beginning.
    """
    if self._stack is None and self._first <= step < self._stop:
      with self._may_fail("trace"):
        self._start()
      return True
    if self._stack is not None and step > self._stop:  # the last one has been read by now
      self.close()
      return True
    return False

  def _start(self) -> None:
    self.tried = True
    self._first = self._stop  # once
    with ExitStack() as stack:
      self._folder = stack.enter_context(cache())
      jax.profiler.start_trace(self._folder)
      self._stack = stack.pop_all()

  def close(self) -> None:
    """Ends the trace where it is under way, and puts its files into the work directory."""
    stack, self._stack = self._stack, None
    if stack is None:
      return
    with self._may_fail("trace"), stack:
      jax.profiler.stop_trace()
      for name in sizes_below(self._folder):
        target = join(self._workdir, FOLDER, *name.split("/"))
        make_folder(parent_of(target))
        with replacing(target) as file:
          file.write(read_bytes(join(self._folder, name)))
        if name.endswith(".trace.json.gz"):
          self._say(f"a trace of the steps is in {target}: open it at https://ui.perfetto.dev")


@contextmanager
def profiling(
  steps: tuple[int, int],
  workdir: str,
  may_fail: Callable[[str], AbstractContextManager[None]],
  say: Callable[[str], None],
) -> Iterator[Profile]:
  """Gives what traces some steps; at the end of the block a trace that is under way is written as far as it is.

  Args:
    steps: see `steps_of`.
    workdir: the trace goes to its folder for TensorBoard.
    may_fail: (what) -> a block that may fail.
    say: receives the path of the trace.
  """
  profile = Profile(steps, workdir, may_fail, say)
  try:
    yield profile
  finally:
    profile.close()
    if not profile.tried:
      say(f"there is no trace: none of the steps {steps[0]} to {steps[1] - 1} was made")

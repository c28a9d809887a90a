"""One work directory for all processes of a run: the first one holds it, and the others must see that it does."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator

import jax

from catgen.files import from_json
from catgen.interfaces import InputError
from catgen.runs import lock
from catgen.training import distributed

_PATIENCE_SECONDS = 5.0  # until a disk that is shared over a network shows what another host has written
_LOOK_SECONDS = 0.2


@contextlib.contextmanager
def owned(workdir: str, say: Callable[[str], None]) -> Iterator[Callable[[], None]]:
  """Holds a work directory, on the first process for all, and gives what raises when it is held no more.

  All processes enter and leave the block together. The token in the lock is what the others look for, so that nothing
  else is written and it is gone with the lock. Paths may differ, as long as they are of one folder.

  Args:
    workdir: the folder, as this process calls it.
    say: receives a line where a dead process has held it.

  Raises:
    InUse: another run holds it, by name.
    InputError: it cannot be written; or a process does not see it, which is said on all.
  """
  checks: list[Callable[[], None]] = []
  with contextlib.ExitStack() as stack:

    def take() -> bytes:
      held = stack.enter_context(lock.held(workdir, say))
      checks.append(held.check)
      return json.dumps([held.owner.token, workdir]).encode()

    token, folder = from_json(distributed.first_tells(take))
    _check_seen(workdir, token, folder)
    yield checks[0] if checks else lambda: None


def _check_seen(workdir: str, token: str, folder: str) -> None:
  """Raises InputError, on all processes, where one does not see the lock that the first one holds."""
  if jax.process_count() == 1:
    return
  seen = jax.process_index() == 0 or _appears(workdir, token)
  told = distributed.all_tell("" if seen else socket.gethostname())
  blind = next((number for number, host in enumerate(told) if host), None)
  if blind is not None:
    raise InputError(
      f"process {blind} on {told[blind]} does not see {folder} of process 0; all processes need the same work"
      " directory, on a shared disk or in a bucket"
    )


def _appears(workdir: str, token: str) -> bool:
  """Returns whether a lock with a token is in a work directory, now or soon."""
  last = time.monotonic() + _PATIENCE_SECONDS
  while lock.token_in(workdir) != token:
    if time.monotonic() > last:
      return False
    time.sleep(_LOOK_SECONDS)
  return True

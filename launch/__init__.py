"""Command-line entry points: absl flags, a few lines each."""

import signal
import threading

# SIGUSR1 says "save". Until there is something to save, while Python still imports, it ends no process.
_SAVE = getattr(signal, "SIGUSR1", None)
if _SAVE and threading.current_thread() is threading.main_thread() and signal.getsignal(_SAVE) == signal.SIG_DFL:
  signal.signal(_SAVE, lambda number, frame: None)

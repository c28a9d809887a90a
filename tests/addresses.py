"""Where the processes of a test meet."""

import socket


def free_address() -> str:
  """Returns host:port on this machine that nobody listens to yet."""
  with socket.socket() as probe:
    probe.bind(("localhost", 0))
    return f"localhost:{probe.getsockname()[1]}"

"""What every request passes: the names that this server has, the token, the site that asks, headers of answers.

A page of another site can make a browser ask a server on the same machine. So a server knows its names (a site whose
name is made to point here, DNS rebinding, comes with its own name in `Host`), takes JSON alone (which browsers send
nowhere else without being allowed to), and no request whose `Origin` is not its own.
"""

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Refusal = tuple[int, str]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WILDCARDS = ("", "0.0.0.0", "::")
HEADERS = (
  (
    b"content-security-policy",
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self';"
    b" base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  ),
  (b"x-content-type-options", b"nosniff"),
  (b"referrer-policy", b"no-referrer"),
  (b"cross-origin-resource-policy", b"same-origin"),
)


def is_loopback(host: str) -> bool:
  """Returns whether a server at this address is reached from its own machine alone.

  Example:
    >>> [is_loopback(host) for host in ("127.0.0.1", "localhost", "0.0.0.0", "192.168.0.3")]
    [True, True, False, False]
  """
  try:
    return ipaddress.ip_address(host).is_loopback
  except ValueError:
    return host == "localhost"


def knows(host: str, names: Iterable[str], header: str) -> bool:
  """Returns whether `Host: header` is a name of this server; a port may follow.

  Args:
    host: that it listens at. At all addresses of a machine it has each of them: a site that is made to point here
      comes by a name, never by an address.
    names: further ones.
    header: as it was sent.
  """
  name = header.rsplit(":", 1)[0] if header.rpartition(":")[2].isdigit() and not header.endswith("]") else header
  name = name.strip("[]").lower().rstrip(".")
  if name in {*_LOOPBACK, host.lower(), *(each.lower() for each in names)}:
    return bool(name)
  if host not in _WILDCARDS:
    return False
  try:
    ipaddress.ip_address(name)
  except ValueError:
    return False
  return True


class Guard:
  """An ASGI application before another one."""

  def __init__(
    self, app: App, refuse: Callable[[int, str], App], *, host: str, names: Iterable[str] = (), token: str | None = None
  ) -> None:
    """Guards `app`; refuse: (status, line) -> what answers so. token: that endpoints ask for, None = none."""
    self.app, self.refuse, self.host, self.names, self.token = app, refuse, host, tuple(names), token

  async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers a request, or has it answered."""
    if scope["type"] != "http":
      return await self.app(scope, receive, send)

    async def sent(message: MutableMapping[str, Any]) -> None:
      if message["type"] == "http.response.start":
        message["headers"] = [*message.get("headers", ()), *HEADERS]
      await send(message)

    refused = self.refusal(scope)
    return await (self.app if refused is None else self.refuse(*refused))(scope, receive, sent)

  def refusal(self, scope: Scope) -> Refusal | None:
    """Returns why a request is not answered, as a status and a line; None where it is."""
    headers = dict(scope["headers"])
    host = headers.get(b"host", b"").decode("latin-1")
    if not knows(self.host, self.names, host):
      return 403, f"this server is not called {host[:100]!r}; start it with --names=NAME if it is reached by that name"
    origin = headers.get(b"origin", b"").decode("latin-1")
    if origin and origin.partition("://")[2] != host:
      return 403, "a page of another site may not ask this server"
    if scope["path"].startswith("/api/"):
      if self.token is not None and not self._has_token(headers.get(b"authorization", b"")):
        return 401, "give the token that the server printed when it started: Authorization: Bearer TOKEN"
      kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
      if scope["method"] == "POST" and kind != b"application/json":
        return 415, "send JSON, with the header Content-Type: application/json"
    return None

  def _has_token(self, header: bytes) -> bool:
    """Returns whether a header is that of the token, in a time that does not depend on where it differs."""
    assert self.token is not None
    return hmac.compare_digest(header, f"Bearer {self.token}".encode())

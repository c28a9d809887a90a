"""Sections made small, for proofs on spaces of few events; what defines the model stays."""

from collections.abc import Mapping
from typing import Any

from catgen.config.registry import choose
from catgen.kinds import Part


def small_section(part: Part, section: Mapping[str, Any], name: str = "") -> dict[str, Any]:
  """Returns a section with every key, and all sections in it, at the sizes that their kinds call small.

  Numbers become the smaller of the section's and the kind's, entry by entry where there are several (a shorter list
  wins); other values, such as a dtype or lists of lists, become the kind's. What is not set stays so.
  """
  kind, _ = choose(part, section, name)
  small = {key: _smaller(kind.small[key], value) for key, value in section.items() if key in kind.small}
  inner = {
    key: small_section(each, section[key], name)
    for key, each in kind.parts.items()
    if isinstance(section.get(key), Mapping)
  }
  return {**section, **small, **inner}


def _smaller(size: Any, given: Any) -> Any:
  if given is None:
    return None
  if isinstance(size, list | tuple):
    if any(isinstance(each, list | tuple) for each in size):
      return size
    return [_smaller(each, other) for each, other in zip(size, given, strict=False)]
  return min(size, given) if isinstance(size, int | float) and not isinstance(size, bool) else size

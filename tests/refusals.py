"""What a user is told of a mistake: one line, by `InputError`."""

import pytest

from catgen.interfaces import InputError


def refused(message, function, *arguments, **keywords):
  """Returns the line by which a call is refused, which must match the pattern."""
  with pytest.raises(InputError, match=message) as caught:
    function(*arguments, **keywords)
  assert "\n" not in str(caught.value)
  return str(caught.value)


def mistake(function, *arguments, **keywords):
  """Returns what a user is told, "" where all is well; anything else than InputError is an error of the test's."""
  try:
    function(*arguments, **keywords)
  except InputError as error:
    return str(error)
  return ""

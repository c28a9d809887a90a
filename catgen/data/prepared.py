"""Running a TFDS builder without TensorFlow, with errors for people."""

from typing import Any

from catgen.interfaces import InputError


def prepare(builder: Any) -> None:
  """Has a TFDS builder write its records to `builder.data_dir`, unless they are there.

  Raises:
    InputError: they cannot be written.
  """
  try:
    builder.download_and_prepare()
  except OSError as error:
    reason = error.strerror or str(error).splitlines()[0]
    raise InputError(f"{builder.data_dir} cannot be written ({reason}); choose another data_dir") from error

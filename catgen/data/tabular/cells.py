"""What one cell of a table says: nothing, a number, a date or a text, and how it is written again."""

import datetime
import decimal as decimals_of
import functools
import hashlib
import math
import re
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

MISSING = ("NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "<NA>", "NaT", "?")
DATES = ("%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
TIMES = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M")
TRUTH = ("true", "false")
_POINT = r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.([0-9]*))?|\.([0-9]+))([eE][+-]?[0-9]{1,4})?"
_GROUPED = r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.([0-9]*))?"
_EPOCH = datetime.date(1970, 1, 1).toordinal()
_DAY = 86400
MIDNIGHT = " 00:00:00"
_ISO_DAY = len("2020-01-31")
_NO_HOUR = re.compile(r"[ T]00:00(?::00)?Z?$")
_EXACT = 15  # so many digits every float keeps
_PARTS = {"Y": "[0-9]{4}", "m": "[0-9]{2}", "d": "[0-9]{2}", "H": "[0-9]{2}", "M": "[0-9]{2}", "S": "[0-9]{2}"}
LARGEST = 1e300  # number of a table: sums and differences of such are held too
_WHOLE = 2**53  # below it a float holds every whole number


class Form(NamedTuple):
  """How the numbers of a column are written."""

  decimals: int | None = 0  # after the decimal sign; None: as many as the number has, perhaps with an exponent
  decimal: str = "."
  grouped: bool = False  # thousands are set apart: 1,234
  date: str | None = None  # a date of this form, such as "%d.%m.%Y": the number of its day, or of its second


def is_missing(text: str, missing: frozenset[str]) -> bool:
  """Returns whether a cell without blanks around it is empty or a word for nothing."""
  return not text or text in missing


def spelled(value: Any) -> str:
  """Returns a value that is no text yet as a cell: "" for None and NaN, 1 for 1.0, true, 2020-01-31.

  A moment with a time zone is that of UTC.
  """
  if isinstance(value, str):
    return value
  if value is None or type(value).__name__ == "NAType" or value != value:  # NaN and NaT are not what they are
    return ""
  if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
    return TRUTH[0] if value else TRUTH[1]
  if type(value).__name__ == "datetime64":
    return _moment_text(value)
  if isinstance(value, datetime.datetime):
    value = value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)
    fine = value.microsecond or getattr(value, "nanosecond", 0)
    return value.isoformat(sep=" ", timespec="auto" if fine else "seconds")
  if isinstance(value, float) or type(value).__name__ in ("float16", "float32", "float64"):
    number = float(str(value))
    return str(int(number)) if number.is_integer() and abs(number) < _WHOLE else repr(number)
  return str(value)


def _moment_text(value: Any) -> str:
  """Returns a moment of numpy as a cell, as a datetime of the same moment would be."""
  text = str(value).replace("T", " ")
  whole = re.fullmatch(r"(.* [0-9]{2}:[0-9]{2}:[0-9]{2})\.0+", text)
  return whole[1] if whole else text


def spelled_as(value: Any, date: str) -> str:
  """Returns a value as a cell of a column of dates: in the column's form where that says all of it."""
  text = spelled(value)
  if isinstance(value, str) or (found := seconds_of(*_as_iso(text))) is None:
    return text
  cell = _date_text(found if "%H" in date else found // _DAY, date)
  return cell if seconds_of(cell, date) == found else text


def _as_iso(text: str) -> tuple[str, str]:
  return text, DATES[0] if len(text) <= _ISO_DAY else TIMES[0]


def spelled_all(values: Sequence[Any]) -> list[str]:
  """Returns the values of a column as cells; times that are all midnight as dates."""
  cells = list(map(spelled, values))
  timed = [cell for cell, value in zip(cells, values, strict=True) if _is_moment(value) and cell]
  if timed and all(cell.endswith(MIDNIGHT) for cell in timed):
    return [cell.removesuffix(MIDNIGHT) for cell in cells]
  return cells


def _is_moment(value: Any) -> bool:
  return isinstance(value, datetime.datetime) or type(value).__name__ == "datetime64"


def number_of(text: str, form: Form) -> float | None:
  """Returns the number, or the date, that a cell is in a form; None where it is none. Decimals may differ.

  A whole number with zeros in front is none, since these are codes: 007, 01234. Nor is one of more digits than a float
  keeps: see `beyond_floats`. Where a form is one of days, a midnight behind a day is left out.
  """
  if form.date is not None:
    return _date_of(text, form.date) if "%H" in form.date else _date_of(*(_day(each) for each in (text, form.date)))
  found = _matched(text, form.decimal)
  return None if found is None else found[0]


def _day(text: str) -> str:
  """Returns a date, or a form of dates, without a midnight behind it."""
  return _NO_HOUR.sub("", text)


def forms(decimal: str) -> tuple[Form, ...]:
  """Returns the forms of numbers and dates that are looked for."""
  return Form(decimal=decimal), *(Form(date=date) for date in (*DATES, *TIMES))


def form_of(texts: list[str], decimal: str) -> Form | None:
  """Returns the form in which all of some cells, at least one, are numbers or dates; None where there is none.

  Several forms of dates may fit, of which those that say the day first are refused beside those that say the month.
  Of days, some with a midnight behind them, the form is that of days. Of times that are all midnight it is one of days
  too, with the midnight as it is written: "%Y-%m-%d 00:00:00".

  Raises:
    ValueError: the cells are dates, and it cannot be told which of their numbers are days; it names both forms.
  """
  if not texts:
    return None
  if (found := numbers_of(texts, Form(decimal=decimal))) is not None:
    return found[1]
  fitting = [date for date in (*DATES, *TIMES) if all(_date_of(text, date) is not None for text in texts)]
  fitting = fitting or [date for date in DATES if all(number_of(text, Form(date=date)) is not None for text in texts)]
  if len(fitting) > 1:
    raise ValueError(" or ".join(fitting))
  if not fitting:
    return None
  days = "%H" in fitting[0] and all(_NO_HOUR.search(text) for text in texts)
  return Form(date=re.sub("%[HMS]", "00", fitting[0]) if days else fitting[0])


def numbers_of(texts: list[str], form: Form) -> tuple[Float64[np.ndarray, "n"], Form] | None:
  """Returns cells as numbers, or dates, of a form, and the form that they have themselves; None where one is none."""
  if form.date is not None:
    days = [number_of(text, form) for text in texts]
    return None if None in days else (np.array(days, np.float64), form)
  found = [_matched(text, form.decimal) for text in texts]
  if None in found:
    return None
  values, digits, grouped = zip(*found, strict=True) if found else ((), (), ())
  numbers = np.array(values, np.float64)
  decimals = None if None in digits else max(digits, default=0)
  if decimals and (decimals > 15 or np.abs(numbers).max() * 10.0**decimals >= _WHOLE):
    decimals = None
  return numbers, Form(decimals, form.decimal, any(grouped))


def widened(form: Form, other: Form) -> Form:
  """Returns the form in which the numbers of two forms can be written; both are of dates, or of numbers."""
  if form.date is not None:
    return form
  unknown = form.decimals is None or other.decimals is None
  decimals = None if unknown else max(form.decimals or 0, other.decimals or 0)
  return Form(decimals, form.decimal, form.grouped or other.grouped)


def written(value: float, form: Form) -> str:
  """Returns a number as a cell of its form."""
  if form.date is not None:
    return _date_text(value, form.date)
  if form.decimals is None:
    text = str(int(value)) if value.is_integer() and abs(value) < _WHOLE else repr(value)
  elif form.decimals == 0:
    text = f"{int(value):,}" if form.grouped else str(int(value))
  else:
    text = f"{value:{',' if form.grouped else ''}.{form.decimals}f}"
  return text if form.decimal == "." else text.translate(str.maketrans(",.", ".,"))


def content_of(text: str, decimal: str, missing: frozenset[str]) -> bytes:
  """Returns eight bytes that say what a cell means, however it is spelled and whatever container it was in.

  Numbers are their own double; a date in ISO form is its second, with or without time; true and false have no case.
  """
  if is_missing(text, missing):
    return number_bytes(math.nan)
  found = number_of(text, Form(decimal=decimal))
  if found is None and text[:4].isdigit():
    found = next((second for date in _ISO if (second := seconds_of(text, date)) is not None), None)
  if found is not None:
    return number_bytes(found)
  plain = text.lower() if text.lower() in TRUTH else text
  return hashlib.blake2b(plain.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def number_bytes(number: float) -> bytes:
  """Returns what `content_of` gives for a number; NaN stands for nothing."""
  return struct.pack("<d", number + 0.0)


_ISO = (DATES[0], *TIMES)


def seconds_of(text: str, date: str) -> float | None:
  """Returns the second since 1970 of a date; None where it is none of this form."""
  found = _date_of(text, date)
  return None if found is None else found * (1 if "%H" in date else _DAY)


def first_day(form: Form) -> float:
  """Returns the number of the first day that there is, or of its first second."""
  return float((1 - _EPOCH) * (_DAY if "%H" in (form.date or "") else 1))


def last_day(form: Form) -> float:
  """Returns the number behind the last day that there is, or its last second."""
  return float((datetime.date.max.toordinal() - _EPOCH + 1) * (_DAY if "%H" in (form.date or "") else 1))


def check_date(date: str) -> None:
  """Raises ValueError unless a form of dates has a day, a month and a year, each once, and nothing that is unknown."""
  parts = re.findall("%(.)", date)
  if len(set(parts)) < len(parts) or not {"Y", "m", "d"} <= set(parts) <= set(_PARTS):
    raise ValueError(f"{date!r} is no form of dates; give one such as {', '.join(DATES)}")


def is_too_large(text: str, decimal: str) -> bool:
  """Returns whether a cell is a number that is larger than those that a table takes, above or below 0."""
  found = _matched(text, decimal, held=False)
  return found is not None and abs(found[0]) > LARGEST


def beyond_floats(text: str, decimal: str) -> bool:
  """Returns whether a cell is a number that a float of 64 bits does not hold, so that it might become another one.

  Held are numbers of up to 15 digits, those that are the shortest text of a float, and those that are a float's own
  digits written out to 17 or more.

  >>> [beyond_floats(text, ".") for text in ("9007199254740993", "0.1", "0.30000000000000004", "1e400")]
  [True, False, False, True]
  """
  return _matched(text, decimal) is None and _matched(text, decimal, held=False) is not None


def _is_held(plain: str, value: float) -> bool:
  """Returns whether a float is the number that a text with a decimal point and no thousands says."""
  if len(plain) <= _EXACT and "e" not in plain and "E" not in plain:
    return True
  exact = decimals_of.Decimal(plain)
  if exact == decimals_of.Decimal(repr(value)):
    return True
  digits = len(exact.as_tuple().digits)
  return digits > _EXACT + 1 and exact == decimals_of.Decimal(f"{value:.{digits - 1}e}")


def _matched(text: str, decimal: str, *, held: bool = True) -> tuple[float, int | None, bool] | None:
  """Returns (number, digits after the decimal sign, or None with an exponent; whether thousands are set apart)."""
  plain = text if decimal == "." else text.translate(SWAPPED)
  if match := _POINT_PATTERN(plain):
    value, digits = float(plain), match[1] or match[2] or ""
    wrong = held and (abs(value) > LARGEST or not _is_held(plain, value))
    return None if wrong else (value, None if match[3] else len(digits), False)
  if match := _GROUPED_PATTERN(plain):
    value = float(plain.replace(",", ""))
    wrong = held and (abs(value) > LARGEST or not _is_held(plain.replace(",", ""), value))
    return None if wrong else (value, len(match[1] or ""), True)
  return None


SWAPPED = str.maketrans(",.", ".,")
_POINT_PATTERN = re.compile(_POINT).fullmatch
_GROUPED_PATTERN = re.compile(_GROUPED).fullmatch


@functools.cache
def _date_pattern(date: str) -> Callable[[str], re.Match[str] | None]:
  pieces = re.split("(%.)", date)
  return re.compile(
    "".join(f"(?P<{piece[1]}>{_PARTS[piece[1]]})" if piece[:1] == "%" else re.escape(piece) for piece in pieces)
  ).fullmatch


def _date_of(text: str, date: str) -> float | None:
  match = _date_pattern(date)(text)
  if match is None:
    return None
  parts = {name: int(value) for name, value in match.groupdict().items()}
  try:
    day = datetime.date(parts["Y"], parts["m"], parts["d"]).toordinal() - _EPOCH
    clock = datetime.time(parts.get("H", 0), parts.get("M", 0), parts.get("S", 0))
  except ValueError:
    return None
  return float(day if "%H" not in date else day * _DAY + clock.hour * 3600 + clock.minute * 60 + clock.second)


def _date_text(value: float, date: str) -> str:
  day, second = divmod(int(value), _DAY) if "%H" in date else (int(value), 0)
  on = datetime.date.fromordinal(day + _EPOCH)
  parts = {"Y": f"{on.year:04}", "m": f"{on.month:02}", "d": f"{on.day:02}"}
  parts |= {"H": f"{second // 3600:02}", "M": f"{second // 60 % 60:02}", "S": f"{second % 60:02}"}
  return re.sub("%(.)", lambda match: parts[match[1]], date)

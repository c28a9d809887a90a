"""A toy of kinds within kinds: an engine that burns a fuel or nothing, and a car with a default engine."""

from catgen.kinds import Kind


def gas(pressure: float = 2.0):
  return ("gas", pressure)


def oil(grade: int, pressure: float = 1.0):
  return ("oil", grade, pressure)


FUELS = {"gas": Kind(gas, small={"pressure": 0.5}), "oil": Kind(oil)}


def burner(size, *, fuel, spare=None, width: int = 8):
  return ("burner", size, width, fuel(), spare and spare())


def electric(size, *, width: int = 4, dtype: str = "float32", widths: tuple[int, ...] = (9, 9, 9)):
  return ("electric", size, width, dtype, widths)


ENGINES = {
  "burner": Kind(burner, parts={"fuel": FUELS, "spare": FUELS}),
  "electric": Kind(electric, small={"width": 6, "dtype": "small", "widths": (2, 20)}),
}
_DEFAULT = ENGINES["burner"](width=16, fuel=FUELS["gas"](pressure=3.0))


def car(*, wheels: int = 4, engine=_DEFAULT):
  return ("car", wheels, engine(1))


CARS = {"car": Kind(car, parts={"engine": ENGINES})}

"""From flags to a call: where parameters come from, and which function is called."""

import pytest

from catgen.interfaces import InputError
from catgen.runs import command
from catgen.runs.command import Command, arguments, perform


class Burned(dict):
  """A record that says how it ended."""

  exit_code = 3


def bake(config, workdir="oven", *, minutes: int = 30, sizes: tuple[int, ...] = (1, 2), say=print, color=False):
  """Bakes.

  Args:
    minutes: in the oven.
    sizes: of the loaves.
  """
  return Burned(config=config, workdir=workdir, minutes=minutes, sizes=sizes)


def taste(*, spoons: int = 1):
  """Tastes.

  Args:
    spoons: how many.
  """
  return {"spoons": spoons}


def all_day(workdir, *, pause: float = 1.0, say=print, **options):
  """Bakes again and again.

  Args:
    pause: between two.
  """
  return {"pause": pause, **options}


COMMANDS = (
  Command(bake, repr),
  Command(taste, repr, flag="taste", help="taste first"),
  Command(all_day, repr, flag="again"),
)
VALUES = {
  "config": "quickstart",
  "data": (),
  "print_config": False,
  "workdir": None,
  "minutes": 5,
  "sizes": ["3", "4"],
  "spoons": 1,
  "pause": 1.0,
  "taste": False,
  "again": False,
}


def performed(commands=COMMANDS, overrides=(), **changes):
  said = []
  terminal = {"say": said.append, "progress": None, "color": False}
  code = perform(commands, {**VALUES, **changes}, dict(overrides), terminal)
  return code, said


def test_flags_are_the_keyword_only_parameters_and_what_is_supplied():
  assert [each.name for each in arguments(COMMANDS)] == list(VALUES)
  known = {each.name: each for each in arguments(COMMANDS)}
  assert (known["minutes"].kind, known["minutes"].default, known["minutes"].help) == ("int", 30, "in the oven")
  assert known["taste"].help == "taste first"


def test_the_first_function_is_called_unless_a_flag_chooses_another():
  code, (said,) = performed(overrides={"training.num_steps": "7"}.items())
  assert code == 3
  assert "'workdir': 'oven', 'minutes': 5, 'sizes': (3, 4)" in said
  assert "'num_steps': 7" in said
  assert performed(workdir="here")[1][0].count("'workdir': 'here'") == 1
  assert performed(taste=True, spoons=2) == (0, ["{'spoons': 2}"])
  assert "'pause': 0.5" in performed(again=True, workdir="here", pause=0.5)[1][0]
  assert "'minutes': 5" in performed(again=True, workdir="here")[1][0]


def test_the_configuration_is_printed_instead():
  code, (said,) = performed(print_config=True, overrides={"training.num_steps": "7"}.items())
  assert code == 0
  assert "num_steps = 7" in said


def test_what_is_missing_is_named():
  with pytest.raises(InputError, match="--config is not set"):
    performed(config=None)
  with pytest.raises(InputError, match="--workdir is not set"):
    performed(again=True)
  with pytest.raises(InputError, match="--sizes=3,x must be whole numbers"):
    performed(sizes=["3", "x"])
  assert "stdlib_docs" in performed((COMMANDS[0]._replace(config="quickstart"),), config=None)[1][0]


def test_a_flag_of_what_is_not_chosen_is_refused():
  with pytest.raises(InputError, match=r"^--spoons counts only with --taste; add that, or leave --spoons out$"):
    performed(spoons=2)
  with pytest.raises(InputError, match=r"^--pause counts only with --again; add that"):
    performed(taste=True, pause=0.5)


def test_a_run_is_loaded(monkeypatch):
  def weigh(run, *, twice: bool = False):
    """Weighs."""
    return run, twice

  def load(workdir, *, step: str | int = "best", ema: bool = True, say=print):
    return workdir, step, ema

  monkeypatch.setattr(command, "load", load)
  values = {"workdir": "here", "step": "7", "ema": False, "twice": True}
  said = []
  commands = (Command(weigh, repr),)
  assert [each.name for each in arguments(commands)] == ["workdir", "step", "ema", "twice"]
  perform(commands, values, {}, {"say": said.append, "progress": None, "color": False})
  assert said == ["(('here', '7', False), True)"]


def test_memory_is_kept_before_anything_is_computed(monkeypatch):
  done = []
  monkeypatch.setattr(command, "keep_memory", lambda: done.append("kept"))
  performed((Command(lambda: done.append("computed"), repr),))
  assert done == ["kept", "computed"]


def test_a_work_directory_may_begin_with_a_tilde(monkeypatch, tmp_path):
  monkeypatch.setenv("HOME", str(tmp_path))
  assert f"'workdir': '{tmp_path}/my runs/a'" in performed(workdir="~/my runs/a")[1][0]
  assert "'workdir': 'runs/~a'" in performed(workdir="runs/~a")[1][0]


def test_what_computes_has_the_flags_that_join_processes_and_the_first_alone_speaks(monkeypatch):
  joined, spoken = [], []

  def cook(*, say=print):
    say("tasted")
    return "ready"

  commands = (Command(cook, repr, devices=True),)
  names = ["coordinator", "process_id", "num_processes", "heartbeat_seconds", "join_seconds"]
  assert [each.name for each in arguments(commands)] == names
  monkeypatch.setattr(command.distributed, "initialize", lambda *words, say, **times: joined.append((words, times)))
  values = {"coordinator": "host:1", "process_id": 1, "num_processes": 2, "heartbeat_seconds": 7, "join_seconds": 8}
  for process in (0, 1):
    monkeypatch.setattr(command.jax, "process_index", lambda number=process: number)
    assert perform(commands, values, {}, {"say": spoken.append, "progress": None, "color": False}) == 0
  assert joined == [(("host:1", 1, 2), {"heartbeat_seconds": 7, "join_seconds": 8})] * 2
  assert spoken == ["tasted", "'ready'"]


def test_what_hands_options_on_is_given_what_the_first_function_takes_and_no_more():
  commands = (Command(taste, repr), Command(all_day, repr, flag="again"))
  values = {"spoons": 2, "pause": 0.5, "again": True, "workdir": "here"}
  said = []
  assert perform(commands, values, {}, {"say": said.append, "progress": None, "color": True}) == 0
  assert said == ["{'pause': 0.5, 'spoons': 2}"]


def test_who_compiles_for_devices_elsewhere_looks_for_none_here_before(monkeypatch):
  """JAX leaves the plugin of CUDA out where it looks for devices without a driver; and programs cannot be kept."""
  done = []

  def plan(*, topology: str | None = None):
    """Plans.

    Args:
      topology: of what.
    """
    done.append("planned")

  commands = (Command(plan, repr, devices=True, elsewhere="topology"),)
  monkeypatch.setattr(command, "keep_programs", lambda: done.append("kept"))
  monkeypatch.setattr(command.distributed, "initialize", lambda *words, **options: done.append("joined"))
  monkeypatch.setattr(command.jax, "process_index", lambda: done.append("looked") or 0)
  values = {each.name: each.default for each in arguments(commands)}
  for topology in ("cuda:h100:8", None):
    perform(commands, {**values, "topology": topology}, {}, {"say": print, "progress": None, "color": False})
  assert done == ["planned", "kept", "joined", "looked", "planned"]

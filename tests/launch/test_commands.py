"""What every command must do: help with an example, one line for a mistake, exit codes. All in one process."""

import importlib
import pathlib
import re
import runpy
import warnings

import pytest

from catgen.config.arguments import arguments_of, converted
from catgen.interfaces import InputError
from catgen.runs.command import NO_FLAGS, Command, perform
from catgen.runs.train import Trained
from launch import cli, main
from tests.tiny_run import OVERRIDES, ROOT

FILES = sorted((ROOT / "launch").glob("*.py"))
OF_RUNS = (
  "evaluate", "sample", "infill", "denoise", "spellcheck", "score", "classify", "bench_sampler", "bench_steps",
  "compress", "decompress", "export", "serve",
)  # fmt: skip
OF_CONFIGS = ("train", "check", "baselines")
BENCHMARKS = tuple(
  f"benchmarks.{name}"
  for name in (
    "training",
    "sampling",
    "startup",
    "tables",
    "topologies",
    "accelerator",
    "transcription",
    "serving",
    "calibration",
  )
)


def run(name, *words):
  return importlib.import_module(f"launch.{name}").main(words)


def errors(capsys):
  found = capsys.readouterr()
  assert not found.out
  (line,) = found.err.splitlines()
  return line


@pytest.mark.parametrize("name", main.COMMANDS)
def test_help_has_an_example_and_says_what_each_flag_means(name, capsys):
  assert run(name, "--help") == 0
  shown = capsys.readouterr().out
  assert re.search(rf"python -m launch\.{name} --", shown)
  _, flags = shown.split("\nflags:\n")
  flags = flags.replace("\n\nseveral machines:\n", "\n")
  entries = re.split(r"\n(?=  --)", flags.rstrip("\n"))
  assert all(re.fullmatch(r"  --.*\n(      .*\n?)+", entry) for entry in entries), entries


@pytest.mark.parametrize("name", main.COMMANDS)
def test_a_flag_that_does_not_exist_is_one_line(name, capsys):
  assert run(name, "--sead=1") == 2
  assert errors(capsys).startswith("error: Unknown command line flag 'sead'")


@pytest.mark.parametrize("name", main.COMMANDS)
def test_a_stray_word_is_one_line(name, capsys):
  assert run(name, "quickstart") == 2
  assert errors(capsys) == "error: unexpected argument 'quickstart'; flags start with --"


@pytest.mark.parametrize("name", OF_RUNS)
def test_a_missing_work_directory_is_one_line(name, capsys):
  assert run(name) == 2
  assert errors(capsys).startswith("error: --workdir is not set; give the folder of the run")
  assert run(name, "--workdir=/nowhere") == 2
  assert "/nowhere holds no run" in errors(capsys)
  assert run(name, "--workdir=x", "--nosuch") == 2
  assert errors(capsys).startswith("error: ")


@pytest.mark.parametrize("name", OF_CONFIGS)
def test_a_missing_configuration_is_one_line(name, capsys):
  assert run(name) == 2
  assert errors(capsys) == "error: --config is not set; give a configuration, for example --config=quickstart"


@pytest.mark.parametrize("name", [*OF_CONFIGS, "demo"])
def test_the_whole_configuration_is_printed(name, capsys):
  assert run(name, "--config=quickstart", "--config.training.batch_size=7", "--print_config") == 0
  assert re.search(r"batch_size = 7 +command line +examples of a step", capsys.readouterr().out)


MISTAKES = {
  "misspelt key": (["train", "--config=quickstart", "--config.training.batchsize=8"], "batch_size"),
  "wrong type": (["train", "--config=quickstart", "--config.training.batch_size=many"], "batch_size"),
  "no such config": (["check", "--config=configs/nothing.py"], "configs/nothing.py"),
  "no such row": (["baselines", "--config=label_maps:argmax"], "argmax does not exist"),
  "no workdir": (["train", "--config=quickstart"], "--workdir is not set"),
  "no file": (["baselines", "--config=text_file", "--config.data.path=/no/file"], "/no/file"),
  "no path": (["baselines", "--config=text_file"], "config.data.path"),
  "no number": (["check", "--config=quickstart", "--num_draws=many"], "num_draws"),
  "no shape": (["check", "--config=quickstart", "--shape=2,x"], "--shape=2,x must be whole numbers"),
  "no estimator": (["compare", "--workdirs=runs/a", "--estimator=best"], "estimator"),
  "no runs": (["compare", "--workdirs=/nowhere"], "there is no folder '/nowhere'"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_line(name, capsys):
  (command, *words), shown = MISTAKES[name]
  assert run(command, *words) == 2
  line = errors(capsys)
  assert line.startswith("error: ")
  assert shown in line


UNREADABLE = {
  "infill": (["--text=the cat"], "the pattern has no hole"),
  "spellcheck": (["--text=the CAT"], "'C'"),
  "denoise": (["--input=/no/file.npy"], "/no/file.npy"),
  "score": (["--input=/no/lines.txt"], "/no/lines.txt"),
  "classify": (["--input=/no/lines.txt"], "the data of this run have no labels"),
  "sample": (["--output=/no/folder/samples.txt"], "cannot write /no/folder/samples.txt"),
  "evaluate": (["--split=tests"], "split 'tests' does not exist"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_input_that_does_not_fit_is_one_line(name, workdir, capsys):
  words, shown = UNREADABLE[name]
  assert run(name, f"--workdir={workdir}", *words, *(["--nopad"] if name == "infill" else [])) == 2
  line = errors(capsys)
  assert line.startswith("error: ")
  assert shown in line


def test_a_command_says_what_its_record_tells(workdir, capsys):
  assert run("spellcheck", f"--workdir={workdir}", "--step=latest", "--text=the cet", "--error_rate=0.1") == 0
  assert capsys.readouterr().out.startswith("typed:     the cet\ncorrected: ")


def test_a_dry_run_needs_no_work_directory(text, capsys):
  assert run("train", "--config=text_file", f"--config.data.path={text}", *OVERRIDES, "--dry_run") == 0
  assert "FLOPs a step" in capsys.readouterr().out


def test_exit_codes_are_those_of_the_record_and_of_signals(monkeypatch, capsys):
  def performed(outcome):
    def ends():
      if isinstance(outcome, BaseException):
        raise outcome
      return outcome

    monkeypatch.setattr(cli, "perform", lambda _, *others: perform([Command(ends, lambda record: "")], *others))
    return run("train", "--config=quickstart")

  assert performed(Trained("there", 3, True, 143, ())) == 143
  assert performed(KeyboardInterrupt()) == 130
  assert performed(InputError("wrong")) == 2
  assert errors(capsys) == "error: wrong"


def test_the_console_command_lists_and_runs_all(capsys):
  assert main.main(["--help"]) == main.main([]) == 0
  shown = capsys.readouterr().out
  assert {path.stem for path in FILES} - {"__init__", "cli", "main", "parsing"} == set(main.COMMANDS)
  assert all(re.search(rf"^  {name} +[A-Z].*\.$", shown, re.MULTILINE) for name in main.COMMANDS)
  assert main.main(["evaluate", "--help"]) == 0
  assert "launch.evaluate --workdir" in capsys.readouterr().out
  assert main.main(["evalate"]) == 2
  assert errors(capsys).startswith("error: there is no command 'evalate'; the commands are train, fork, ls")


@pytest.mark.parametrize("name", [*(f"launch.{name}" for name in main.COMMANDS), *BENCHMARKS])
def test_without_flags_functions_get_their_own_defaults(name, monkeypatch):
  performed = []
  monkeypatch.setattr(cli, "perform", lambda commands, values, *_: performed.append((commands, values)) or 0)
  monkeypatch.setattr("sys.argv", [name])
  with pytest.raises(SystemExit) as ended, warnings.catch_warnings(action="ignore"):
    runpy.run_module(name, run_name="__main__")
  assert ended.value.code == 0
  ((commands, values),) = performed
  for each in arguments_of(commands[0].function, leave_out=NO_FLAGS):
    given = converted(each, values[each.name])
    assert (tuple(given) if each.kind == "repeated" else given) == each.default, each.name


def test_nothing_reads_global_flags():
  readers = [path for folder in ("catgen", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
  assert not [path for path in readers if re.search(r"\bFLAGS\b", pathlib.Path(path).read_text())]


def test_a_dry_run_for_devices_elsewhere_looks_for_none_here(monkeypatch, capsys):
  from catgen.runs import command, dry_run

  def find(name):
    raise InputError(f"{name} was to be found")

  monkeypatch.setattr(dry_run, "find_topology", find)
  monkeypatch.setattr(command, "join", lambda *words, **options: pytest.fail("processes were joined"))
  assert run("train", "--config=quickstart", "--dry_run", "--topology=cuda:h100:8") == 2
  assert errors(capsys) == "error: cuda:h100:8 was to be found"

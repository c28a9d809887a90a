"""The templates of launch/jobs: their commands exist, and the validators of what reads them have nothing to say."""

import importlib
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

from catgen.config import load_config
from catgen.config.arguments import split_overrides
from catgen.runs.ls import Listed, Listing, describe
from launch import main
from tests.tiny_run import ROOT

JOBS = ROOT / "launch" / "jobs"
SHELL, YAML = sorted(JOBS.glob("*.sh")), sorted(JOBS.glob("*.yaml"))
GUIDE = ROOT / "docs" / "CLUSTERS.md"


def name_of(path):
  return path.name


def documents(path):
  return list(yaml.safe_load_all(path.read_text()))


def words_of(text):
  """Returns the words of each command of catgen in a script, comments included: they show what to type."""
  lines = re.sub(r"\\\n#?", " ", re.sub(r"^# ?", "", text, flags=re.MULTILINE))
  return [shlex.split(each, comments=True) for each in re.findall(r"\bcatgen [a-z]+ --[^\n|;`]*", lines)]


def commands(path):
  """Returns the commands of a template as lists of words, from the name of the command on."""
  if path.suffix != ".yaml":
    return [words[1:] for words in words_of(path.read_text())]
  found = []
  for container in (each for document in documents(path) for each in containers(document)):
    words = container["command"]
    found += [words[1:]] if words[0] == "catgen" else [each[1:] for each in words_of(words[-1])]
  return found


def containers(document):
  if isinstance(document, dict):
    yield from document.get("containers", [])
    document = list(document.values())
  for each in document if isinstance(document, list) else ():
    yield from containers(each)


@pytest.mark.parametrize("path", [*SHELL, *YAML, GUIDE], ids=name_of)
def test_every_command_flag_and_key_exists(path, capsys, monkeypatch):
  monkeypatch.setenv("CONFIG", "quickstart")
  found = commands(path)
  assert found or path.name == "cloud_tpu_host.sh"
  for name, *words in found:
    assert name in main.COMMANDS
    capsys.readouterr()
    assert importlib.import_module(f"launch.{name}").main(["--help"]) == 0
    known = set(re.findall(r"^  --(?:\[no\])?(\w+)", capsys.readouterr().out, re.MULTILINE))
    plain, overrides = split_overrides(words, "config")
    assert {word.removeprefix("--").partition("=")[0] for word in plain} <= known
    config = next((word.partition("=")[2] for word in plain if word.startswith("--config=")), None)
    if config is not None:
      load_config("quickstart" if config in ("$CONFIG", "NAME") else config, overrides)


@pytest.mark.parametrize("path", [*SHELL, *YAML], ids=name_of)
def test_the_guide_explains_every_template(path):
  assert f"`{path.name}`" in GUIDE.read_text()


def test_numbers_of_hosts_agree():
  """Where a number stands several times."""
  for path in YAML:
    for document in documents(path):
      for each in document["spec"].get("replicatedJobs", []):
        job = each["template"]["spec"]
        assert job["parallelism"] == job["completions"]
        (said,) = re.findall(r"--num_processes=(\d+)", path.read_text()) or [str(job["completions"])]
        assert int(said) == job["completions"]
        for host in re.findall(r"--coordinator=(\S+):", path.read_text()):
          name = document["metadata"]["name"]
          assert host == f"{name}-{each['name']}-0-0.{name}"


def test_what_stops_a_job_of_slurm_is_what_makes_it_go_on():
  """Signals stop with 128 + their number, and the numbers of the script are those."""
  import signal

  for path in SHELL:
    text = path.read_text()
    for name in re.findall(r"--signal=(\w+)@", text):
      assert f"$code == {128 + signal.Signals[f'SIG{name}']}" in text
      assert f"$code == {128 + signal.SIGTERM}" in text


def validator(name):
  """Returns a validator of the extra `jobs`, where that is installed."""
  path = pathlib.Path(sys.executable).with_name(name)
  found = str(path) if path.exists() else shutil.which(name)
  return found or pytest.skip(f"{name} is not installed: pip install -e '.[jobs]'")


@pytest.mark.parametrize("path", SHELL, ids=name_of)
def test_bash_reads_the_scripts(path):
  subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("path", SHELL, ids=name_of)
def test_shellcheck_has_nothing_to_say(path):
  told = subprocess.run([validator("shellcheck"), str(path)], capture_output=True, text=True)
  assert (told.returncode, told.stdout) == (0, "")


@pytest.mark.slow
def test_yamllint_has_nothing_to_say():
  rules = "{extends: default, rules: {line-length: {max: 120}}}"
  told = subprocess.run([validator("yamllint"), "-s", "-d", rules, *map(str, YAML)], capture_output=True, text=True)
  assert (told.returncode, told.stdout) == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("path", YAML, ids=name_of)
def test_kubernetes_would_take_the_jobs(path):
  """Those within a JobSet by themselves: its own schema comes with its installation."""
  validate = pytest.importorskip("kubernetes_validate", reason="pip install -e '.[jobs]'").validate
  for document in documents(path):
    jobs = [document] if document["kind"] == "Job" else []
    for each in document["spec"].get("replicatedJobs", []):
      head = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": each["name"]}}
      jobs.append({**head, "spec": each["template"]["spec"]})
    assert jobs
    for job in jobs:
      validate(job, "1.33", strict=True)


WORDS = ["catgen", "train", "--config=a b", "--workdir=gs://bucket/finished"]


def cloud_tpu(tmp_path, states, mistake=""):
  """Runs cloud_tpu.sh with a gcloud and a catgen that only tell what they were asked; returns it and what was done.

  states: that gcloud tells one after another; the run is finished with the last. mistake: of a host, once there is one.
  """
  log, told = tmp_path / "log", tmp_path / "states"
  told.write_text(states)
  (tmp_path / "gcloud").write_text(
    f"#!/bin/bash\n"
    f"if [[ $1 == storage ]]; then\n"
    f"  [[ $2 == cat && -s {log} && -n '{mistake}' ]] && echo '{mistake}'; exit\n"
    f"fi\n"
    f"if [[ $* == *describe* ]]; then\n"
    f"  state=$(head -1 {told}); sed -i 1d {told}; [[ $state == ERROR* ]] || {{ echo $state; exit; }}\n"
    f"  echo $state >&2; exit 1\n"
    f"fi\n"
    f'echo "gcloud $*" >> {log}\n'
    f'[[ $* == *startup-script=* ]] && cp "$(sed \'s/.*startup-script=//\' <<< "$*")" {tmp_path}/startup; true\n'
  )
  row = Listed("gs://bucket/finished", "diffusion", 20, 30, "stopped", "bits", 2.5, None, None, 10**6)
  rows = [describe(Listing("gs://bucket", (row._replace(state=each),))) for each in ("finished", "stopped")]
  (tmp_path / "catgen").write_text(
    f"#!/bin/bash\n[[ $(wc -l < {told}) -le 1 ]] && echo '{rows[0]}' || echo '{rows[1]}'\n"
  )
  for name in ("gcloud", "catgen"):
    (tmp_path / name).chmod(0o755)
  done = subprocess.run(
    ["bash", str(JOBS / "cloud_tpu.sh"), "train", "v5litepod-16", "gs://bucket/finished", *WORDS],
    env={"PATH": f"{tmp_path}:/usr/bin:/bin", "WHEEL": "gs://w.whl", "SECONDS_BETWEEN": "0", "SECONDS_AFTER": "0"},
    capture_output=True,
    text=True,
    timeout=60,
  )
  return done, [re.search(r"queued-resources (\w+)", line)[1] for line in log.read_text().splitlines()]


NONE, BROKEN = "ERROR: NOT_FOUND: 'catgen-train' was not found", "ERROR: the connection was reset"


@pytest.mark.slow
def test_a_slice_is_asked_for_again_until_the_run_is_finished(tmp_path):
  done, acts = cloud_tpu(tmp_path, f"{NONE}\nACTIVE\n{BROKEN}\nSUSPENDED\n{NONE}\nACTIVE\nACTIVE\n")

  assert done.returncode == 0
  assert acts == ["create", "delete", "create", "delete"]
  shown = subprocess.run(
    ["bash", "-c", f'source <(head -4 {tmp_path}/startup); printf "%s\n" "$WHEEL" "$MISTAKE" "${{COMMAND[@]}}"'],
    capture_output=True,
    text=True,
    check=True,
  )
  assert shown.stdout.splitlines() == ["gs://w.whl", "gs://bucket/finished/mistake_train.log", *WORDS]


@pytest.mark.slow
def test_a_slice_whose_command_was_a_mistake_is_given_back(tmp_path):
  done, acts = cloud_tpu(tmp_path, f"{NONE}\nACTIVE\nACTIVE\nACTIVE\n", mistake="there is no config x")

  assert done.returncode == 2
  assert "there is no config x" in done.stdout
  assert "given back" in done.stderr
  assert acts == ["create", "delete"]

"""A work directory on a small disk of its own, and the processes that work in it."""

import contextlib
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence

from catgen.training.checkpoint import checkpoint_steps
from catgen.training.signals import STOPPING
from tests import compiling
from tests.addresses import free_address
from tests.faults.subjects import Subject
from tests.tiny_run import ROOT, environment

DISK_MEGABYTES = 24
PATIENCE_SECONDS = 240.0


class Lost(AssertionError):  # noqa: N818 it says what happened
  """Something that must hold after a fault does not."""


class Running:
  """A command that was started; what it says goes to a file."""

  def __init__(self, words: Sequence[str], log: pathlib.Path):
    self.log, self.began_at = log, time.monotonic()
    for number in STOPPING:  # a shell starts what is in the background deaf to Ctrl-C, which would be inherited
      if signal.getsignal(number) == signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
    with open(log, "wb") as file:
      self.process = subprocess.Popen(
        words, env={**environment(), **compiling.cached()}, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT
      )

  @property
  def ended(self) -> bool:
    return self.process.poll() is not None

  @property
  def said(self) -> str:
    return self.log.read_text(errors="replace")

  @property
  def last_line(self) -> str:
    return ([""] + self.said.splitlines())[-1]

  @property
  def has_begun(self) -> bool:
    """Whether the loop has been entered, or nearly so."""
    return "\ntraining " in f"\n{self.said}"

  @property
  def first_step(self) -> int:
    return int(self.said.partition(" from step ")[2].split()[0])

  def send(self, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
      self.process.send_signal(number)

  def wait(self, seconds: float = PATIENCE_SECONDS) -> int:
    """Returns the exit code, negative where a signal ended it. Raises Lost where it does not end."""
    try:
      return self.process.wait(seconds)
    except subprocess.TimeoutExpired as error:
      self.process.kill()
      self.process.wait()
      raise Lost(f"did not end within {seconds:.0f} s: {self.said[-2000:]}") from error


class Scene:
  """One work directory of a subject, from its first step to its last, through faults."""

  def __init__(self, subject: Subject, folder: pathlib.Path, rng: random.Random, *, own_disk: bool = True):
    """Makes `folder`, a small disk of its own where that is wanted and allowed."""
    self.subject, self.folder, self.rng = subject, folder, rng
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    self.own_disk = own_disk and _mounted("-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(folder))
    self.workdir, self.logs = folder / "run", folder.with_name(f"{folder.name}.logs")
    shutil.rmtree(self.logs, ignore_errors=True)
    self.logs.mkdir()
    self.started: list[Running] = []
    self.group: list[Running] = []  # the processes that train now
    self.excused: set[tuple[str, int]] = set()  # lines of metrics.jsonl that a fault itself has deleted
    self.whole: Callable[[], None] = lambda: None  # what must hold where the run has come to its end

  def close(self) -> None:
    """Ends what still runs, and frees the disk."""
    for running in self.started:
      running.process.kill()
      running.process.wait()
    if self.own_disk:
      subprocess.run(["umount", "-l", str(self.folder)], check=True)

  @property
  def training(self) -> Running:
    """The first process of the run, started where none runs; a run that has ended whole is begun anew."""
    if not self.group or any(each.ended for each in self.group):
      if checkpoint_steps(self.workdir)[-1:] == [self.subject.num_steps]:
        self.finish()
        shutil.rmtree(self.workdir)
        self.excused.clear()
      self.start_training()
    return self.group[0]

  def start(self, words: Sequence[str]) -> Running:
    """Starts a command."""
    self.started.append(Running(words, self.logs / f"{len(self.started):03}.txt"))
    return self.started[-1]

  def start_training(self) -> None:
    """Starts the processes of the run."""
    number, address = self.subject.num_processes, free_address()
    joined = [f"--coordinator={address}", f"--num_processes={number}"] if number > 1 else []
    self.group = [
      self.start(self.subject.training(self.workdir, *joined, *([f"--process_id={i}"] if joined else [])))
      for i in range(number)
    ]

  def finish(self) -> None:
    """Lets the run come to its end undisturbed, and checks that it is whole."""
    if not self.group or any(each.ended for each in self.group):
      self.start_training()
    codes = [each.wait() for each in self.group]
    if codes != [0] * len(codes):
      raise Lost(f"the undisturbed end of the run has exit codes {codes}: {self.group[0].said[-2000:]}")
    self.group = []
    self.whole()

  def until(self, holds: Callable[[], bool], running: Running, seconds: float = 60.0) -> bool:
    """Waits until something holds; returns whether it does, also where the process ends or time runs out."""
    deadline = time.monotonic() + seconds
    while not holds():
      if running.ended or time.monotonic() > deadline:
        return holds()
      time.sleep(0.003)
    return True

  def stepping(self) -> Running:
    """Returns the training process when it has made steps."""
    running = self.training
    self.until(lambda: running.has_begun, running)
    if running.has_begun:
      first = running.first_step
      self.until(lambda: any(step > first for _, step in self.lines()) or self.newest > first, running)
    return running

  @property
  def newest(self) -> int:
    """The step of the newest checkpoint; 0 without any."""
    return ([0] + checkpoint_steps(self.workdir))[-1]

  def lines(self) -> list[tuple[str, int]]:
    """Returns what metrics.jsonl has, as often as it has it: whether a report or a validation, and its step."""
    import json

    try:
      text = (self.workdir / "metrics.jsonl").read_bytes().decode(errors="replace")
    except FileNotFoundError:
      return []
    found = []
    for line in text.splitlines():
      with contextlib.suppress(ValueError, KeyError):  # cut short, or damaged by a fault
        record = json.loads(line)
        found += [(kind, record["step"]) for kind in ("train", "validation") if f"{kind}/bits" in record]
    return found

  @contextlib.contextmanager
  def full_disk(self) -> Iterator[None]:
    """Leaves no room, or by chance a little, for the time of the block."""
    if not self.own_disk:
      with self._size_limit():
        yield
      return
    ballast = self.folder / "ballast"
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
      while True:
        file.write(b"\0" * 4096)
    os.truncate(ballast, max(0, ballast.stat().st_size - 4096 * self.rng.choice([0, 0, 1, 3, 10])))
    try:
      yield
    finally:
      ballast.unlink()

  @contextlib.contextmanager
  def _size_limit(self) -> Iterator[None]:
    """Lets no file grow: what a full disk is to a process that may not mount one."""
    pids = [each.process.pid for each in self.started if not each.ended]
    before = {pid: resource.prlimit(pid, resource.RLIMIT_FSIZE) for pid in pids}
    for pid, (_, hard) in before.items():
      resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, hard))
    try:
      yield
    finally:
      for pid, limits in before.items():
        with contextlib.suppress(ProcessLookupError):
          resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)

  @property
  def can_be_read_only(self) -> bool:
    return self.own_disk or os.geteuid() != 0

  @contextlib.contextmanager
  def read_only(self) -> Iterator[None]:
    """Makes the work directory read-only for the time of the block."""
    if self.own_disk:  # a mount on top: what is open stays open, as on a disk that the kernel has given up
      place = str(self.workdir)
      if not (_mounted("--bind", place, place) and _mounted("-o", "remount,bind,ro", place)):
        raise Lost("the work directory cannot be mounted on itself")
      try:
        yield
      finally:
        subprocess.run(["umount", "-l", place], check=True)
      return
    folders = [self.workdir, *(path for path in self.workdir.rglob("*") if path.is_dir())]
    for path in folders:
      path.chmod(0o555)
    try:
      yield
    finally:
      for path in folders:
        with contextlib.suppress(FileNotFoundError):
          path.chmod(0o755)


def _mounted(*arguments: str) -> bool:
  if os.geteuid() != 0 or shutil.which("mount") is None:
    return False
  return subprocess.run(["mount", *arguments], capture_output=True).returncode == 0


def by_name(number: int) -> str:
  """Returns SIGTERM for 15."""
  return signal.Signals(number).name

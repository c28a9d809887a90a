"""Many faults in rounds: planned from a seed, gone on with where they stopped, told as a table."""

import collections
import json
import pathlib
import random
import shutil
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from tests.faults import checks, command_faults, training_faults
from tests.faults.scene import Lost, Scene
from tests.faults.subjects import Subject, make_subjects
from tests.faults.training_faults import Fault

_END = "the end"
ROUND = 20  # faults of one work directory, about

KILLS: dict[str, tuple[float, Fault]] = {  # how many of all, what
  "SIGKILL, training": (0.8, training_faults.kill),
  "SIGKILL, evaluating": (0.12, command_faults.killed(command_faults.evaluating)),
  "SIGKILL, sampling": (0.08, command_faults.killed(command_faults.sampling)),
}
OTHERS: dict[str, tuple[float, Fault]] = {
  "SIGTERM": (0.08, training_faults.told_to_stop(signal.SIGTERM)),
  "SIGINT": (0.06, training_faults.told_to_stop(signal.SIGINT)),
  "SIGHUP": (0.06, training_faults.told_to_stop(signal.SIGHUP)),
  "SIGUSR2": (0.06, training_faults.told_to_stop(signal.SIGUSR2)),
  "SIGUSR1": (0.08, training_faults.told_to_save),
  "full disk": (0.1, training_faults.full_disk),
  "read-only folder": (0.08, training_faults.read_only),
  "started without room": (0.04, training_faults.started_without_room),
  "vanished": (0.12, training_faults.vanished),
  "damaged": (0.1, training_faults.damaged),
  "picture is a folder": (0.04, training_faults.picture_is_a_folder),
  "two writers": (0.06, training_faults.two_writers),
  "dead peer": (0.04, training_faults.dead_peer),
  "told to stop, evaluating": (0.03, command_faults.stopped(command_faults.evaluating)),
  "told to stop, sampling": (0.01, command_faults.stopped(command_faults.sampling)),
  "no room, evaluating": (0.03, command_faults.without_room(command_faults.evaluating)),
  "no room, sampling": (0.01, command_faults.without_room(command_faults.sampling)),
}
FAULTS = {**KILLS, **OTHERS}


class Round(NamedTuple):
  """The faults of one work directory, in their order."""

  number: int
  subject: str
  faults: tuple[str, ...]


class Outcome(NamedTuple):
  """What came of a fault; the last of a round that lost something says what."""

  round: int
  fault: str
  outcome: str
  failed: bool
  seconds: float


class Campaign:
  """Faults in a folder, which keeps the undisturbed runs and the outcomes so far."""

  def __init__(
    self,
    folder: pathlib.Path,
    kills: int,
    others: int,
    seed: int,
    say: Callable[[str], Any] = print,
    kinds: tuple[str, ...] = (),
  ):
    """Plans the faults; of `kinds` alone where some are given."""
    self.folder, self.seed, self._say = folder, seed, partial(say, flush=True) if say is print else say
    self.subjects, self.rounds = make_subjects(folder / "data"), planned(kills, others, seed, kinds)
    self._log = folder / f"outcomes-{'-'.join(map(str, (kills, others, seed, *kinds)))}.jsonl"
    self.outcomes: list[Outcome] = []
    if self._log.exists():
      self.outcomes = [Outcome(*json.loads(line)) for line in self._log.read_text().splitlines()]

  @property
  def failures(self) -> list[Outcome]:
    return [each for each in self.outcomes if each.failed]

  def run(self, only: int | None = None) -> None:
    """Goes through all rounds that have not ended, or one."""
    ended = {each.round for each in self.outcomes}
    for round in self.rounds:
      if only == round.number or (only is None and round.number not in ended):
        found = self._through(round)
        if only is None:
          self.outcomes += found
          with open(self._log, "a") as file:
            file.writelines(json.dumps(each) + "\n" for each in found)

  def table(self) -> str:
    """Returns fault, count and outcomes."""
    by_fault = collections.defaultdict(list)
    for each in self.outcomes:
      by_fault[each.fault].append(each.outcome)
    lines = [f"{'fault':26} count  outcomes"]
    for name, found in sorted(by_fault.items()):
      counted = ", ".join(f"{count} x {what}" for what, count in collections.Counter(found).most_common())
      lines.append(f"{name:26} {len(found):5}  {counted}")
    done = [each for each in self.outcomes if not each.failed]
    lines.append(f"{len(done)} faults cost nothing, {len(self.failures)} cost something; seed {self.seed}")
    return "\n".join(lines)

  def _through(self, round: Round) -> list[Outcome]:
    """Returns the outcomes of a round; what is left of one that has lost something begins anew."""
    subject, found = self.subjects[round.subject], list[Outcome]()
    self._say(f"round {round.number} of {len(self.rounds)}: {subject.name} (--seed={self.seed} --only={round.number})")
    reference = self.reference(subject)
    rng = random.Random(f"{self.seed} {round.number}")
    while sum(each.fault != _END for each in found) < len(round.faults):
      faults = round.faults[sum(each.fault != _END for each in found) :]
      scene = Scene(subject, self.folder / f"round-{round.number}", rng)
      scene.whole = partial(checks.whole, scene, reference)
      try:
        self._throw(scene, round.number, faults, found)
        self._end(scene, reference)
      except Lost as lost:
        if not found or found[-1].outcome != str(lost):
          found.append(Outcome(round.number, _END, str(lost), True, 0.0))
        self._keep(scene, f"lost-{self.seed}-{round.number}-{len(found)}")
        self._say(f"  LOST at {found[-1].fault!r} of round {round.number}: {lost}")
      finally:
        scene.close()
    return found

  def _throw(self, scene: Scene, number: int, faults: tuple[str, ...], found: list[Outcome]) -> None:
    """Throws faults one after another, and adds what comes of each; raises Lost as the one that lost something did."""
    for name in faults:
      began = time.monotonic()
      try:
        if _is_of_a_finished_run(name) and scene.newest < scene.subject.num_steps:
          scene.finish()
        outcome = FAULTS[name][1](scene)
      except Lost as lost:
        found.append(Outcome(number, name, str(lost), True, time.monotonic() - began))
        raise
      found.append(Outcome(number, name, outcome, False, time.monotonic() - began))
      self._tell(found)

  def _keep(self, scene: Scene, name: str) -> None:
    """Keeps a work directory that has lost something, and what its processes have said."""
    shutil.rmtree(self.folder / name, ignore_errors=True)
    shutil.copytree(scene.folder, self.folder / name, ignore=shutil.ignore_patterns("ballast"))
    shutil.copytree(scene.logs, self.folder / name / "logs")

  def _tell(self, found: list[Outcome]) -> None:
    last, done = found[-1], [*self.outcomes, *found]
    rate = sum(each.seconds for each in done) / len(done)
    left = sum(len(round.faults) for round in self.rounds) - len(done)
    self._say(
      f"  {len(done)}: {last.fault}: {last.outcome} ({last.seconds:.1f} s; {rate:.1f} s each, "
      f"about {rate * left / 60:.0f} min left)"
    )

  def reference(self, subject: Subject) -> pathlib.Path:
    """Returns the work directory of the undisturbed run, with its evaluation and its samples beside it."""
    folder = self.folder / "undisturbed" / subject.name.replace(" ", "_")
    workdir = folder / "run"
    if not (folder / "whole").exists():
      scene = Scene(subject, folder, random.Random(0), own_disk=False)
      scene.finish()
      if subject.num_processes == 1:
        self._use(scene)
      scene.close()
      (folder / "whole").touch()
    return workdir

  def _use(self, scene: Scene) -> None:
    """Evaluates a run and draws samples, undisturbed."""
    scene.rng = random.Random(0)
    for begin in (command_faults.evaluating, command_faults.sampling):
      running = begin(scene)
      if running.wait() != 0:
        raise Lost(f"undisturbed, {begin.__name__} has exit code {running.wait()}: {running.said[-2000:]}")

  def _end(self, scene: Scene, reference: pathlib.Path) -> None:
    scene.finish()
    if scene.subject.num_processes > 1:
      return
    self._use(scene)
    checks.same_results(scene.workdir, reference)
    for path in reference.parent.glob("samples.*"):
      if (scene.folder / path.name).read_bytes() != path.read_bytes():
        raise Lost(f"{path.name} differs")


def planned(kills: int, others: int, seed: int, kinds: tuple[str, ...] = ()) -> list[Round]:
  """Returns the rounds: of each kind of fault its share, shuffled, text and maps in turn."""
  if unknown := set(kinds) - FAULTS.keys():
    raise SystemExit(f"there are no faults of kind {'; '.join(unknown)}; there are: {'; '.join(FAULTS)}")
  rng = random.Random(seed)
  among = [{name: fault for name, fault in each.items() if not kinds or name in kinds} for each in (KILLS, OTHERS)]
  drawn = [*_shares(among[0], kills, rng), *_shares(among[1], others, rng)]
  rng.shuffle(drawn)
  peers = [name for name in drawn if name == "dead peer"]
  drawn = [name for name in drawn if name != "dead peer"]
  number = -(-len(drawn) // ROUND)
  rounds = []
  for i in range(number):
    faults = sorted(drawn[i::number], key=_is_of_a_finished_run)
    rounds.append(Round(i + 1, ("text", "maps")[i % 2], tuple(faults)))
  return [*rounds, *([Round(number + 1, "two processes", tuple(peers))] if peers else [])]


def _is_of_a_finished_run(name: str) -> bool:
  return name.endswith(("evaluating", "sampling"))


def _shares(kinds: dict[str, tuple[float, Fault]], number: int, rng: random.Random) -> list[str]:
  """Returns that many names, each about as often as its share says."""
  if number == 0:
    return []
  names = list(kinds)
  counts = [int(number * kinds[name][0]) for name in names]
  rest = rng.choices(names, [kinds[name][0] for name in names], k=number - sum(counts))
  return [name for name, count in zip(names, counts, strict=True) for _ in range(count)] + rest

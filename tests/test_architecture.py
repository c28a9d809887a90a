"""The house rules, read from the source: layers, doors, circles, one home per idea, sizes, documentation."""

import ast
import functools
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted(path for folder in ("catgen", "launch", "configs") for path in (ROOT / folder).rglob("*.py"))
CATGEN = [path for path in FILES if path.is_relative_to(ROOT / "catgen")]
LAUNCH = [path for path in FILES if path.is_relative_to(ROOT / "launch")]
FOLDERS = sorted({path.parent for path in FILES})  # a test for each file would cost more than what it says
OF_CATGEN = sorted({path.parent for path in CATGEN})

FILES_LAYER = ("files", "paths", "cache", "remote")
SHARED = ("interfaces", "batches", "bounds", "events", "given", "keys", "meshes", "orders", "sources", "trees", "kinds")
WORDS = (*SHARED, "chains", "memories", "records", *FILES_LAYER)
CORE = {f"catgen.{name}" for name in WORDS}
PURE = {*CORE, "catgen.distributions", "catgen.kernels"}
MODULES = {*PURE, "catgen.bijections", "catgen.surjections", "catgen.processes", "catgen.networks", "catgen.flows"}
NAMELESS = {*CORE, "catgen.coding", "catgen.data", "catgen.training", "catgen.evaluation", "catgen.reporting"}
ALLOWED = {  # what a folder may import of catgen, besides itself
  "catgen/distributions": CORE,
  "catgen/bijections": {*CORE, "catgen.distributions"},
  "catgen/surjections": {*CORE, "catgen.distributions", "catgen.bijections"},
  "catgen/processes": {*CORE, "catgen.distributions"},
  "catgen/kernels": CORE,
  "catgen/networks": {*CORE, "catgen.kernels"},
  "catgen/flows": {*PURE, "catgen.bijections", "catgen.networks"},
  "catgen/models": MODULES,
  "catgen/data": CORE,
  "catgen/training": CORE,
  "catgen/evaluation": CORE,
  "catgen/reporting": CORE,
  "catgen/coding": CORE,
  "catgen/media": {*CORE, "catgen.data", "catgen.evaluation", "catgen.reporting"},
  "catgen/config": {*CORE, "catgen.data", "catgen.models", "catgen.training"},
  "catgen/runs": {*NAMELESS, "catgen.media", "catgen.config", "catgen.__version__"},
  "catgen/serving": {*NAMELESS, "catgen.media", "catgen.runs", "catgen"},
  "launch": {"catgen.config", "catgen.interfaces", "catgen.reporting", "catgen.runs", "catgen.serving"},
}
DOORS = {
  "flax": ("catgen/networks/", "catgen/flows/", "catgen/models/"),
  "optax": ("catgen/training/optimizer.py", "catgen/training/step.py", "catgen/training/state.py"),
  "orbax": ("catgen/training/checkpoint.py", "catgen/training/stored.py", "catgen/training/managers.py"),
  "constriction": ("catgen/coding/",),
  "safetensors": ("catgen/runs/tensors.py",),
  "sklearn": ("catgen/evaluation/table_trees.py",),
  "fsspec": ("catgen/remote.py",),
  "grain": ("catgen/data/",),
  "tensorflow_datasets": ("catgen/data/",),
  "ml_collections": ("catgen/config/", "configs/"),
  "absl": ("launch/",),
  "matplotlib": ("catgen/reporting/", "catgen/media/"),
  "PIL": ("catgen/reporting/", "catgen/media/", "catgen/data/label_images.py"),
  "starlette": ("catgen/serving/app.py",),
  "uvicorn": ("catgen/serving/serve.py",),
  "tensorboardX": ("catgen/reporting/",),
  "wandb": ("catgen/reporting/trackers.py",),
  "mlflow": ("catgen/reporting/trackers.py",),
}
# What is on a disk by its nature, or does there, behind a test for URLs, what no store has: locks, appending, maps.
LOCAL = (
  *(f"catgen/{name}.py" for name in FILES_LAYER),
  "catgen/runs/lock.py",  # flock
  "catgen/runs/owners.py",  # /proc
  "catgen/training/managers.py",  # the probe of a disk, which tests refuse
  "catgen/training/staging.py",  # the cache
  "catgen/training/folders.py",  # checkpoints on a disk
  "catgen/reporting/writers.py",  # appends
  "catgen/reporting/terminal.py",  # standard streams
  "catgen/reporting/drawing.py",  # fonts
  "catgen/reporting/trackers.py",  # files that MLflow copies
  "catgen/evaluation/results.py",  # the source tree's git commit
  "catgen/config/files.py",  # configurations are Python
  "catgen/data/reading.py",  # memory maps, pipes
  "catgen/data/map_folders.py",  # links of folders
  "catgen/data/sets/stdlib_docs.py",  # Python's own files
  "catgen/data/sets/cityscapes/",  # what TFDS keeps
  "catgen/data/sets/wikipedia/",
)
BY_HAND = re.compile(
  r"\bos\.(path\b|replace|rename|remove|unlink|makedirs|mkdir|listdir|scandir|walk|stat|open|access)\b"
  r"|\bshutil\.|\bpathlib\.|\bglob\.i?glob\(|(?<![\w.])(?<!def )open\("
)
# One home per idea: what must not be written again -> the files that may.
HOMES = {
  r"vmap\(jax\.random\.fold_in": ("catgen/keys.py",),  # keys of examples
  r"\.reshape\([^()]*, -1\)\.sum\((axis=)?(-1|1)\)": (),  # sums over positions: events.py sums over axes
  r"os\.replace\(|NamedTemporaryFile\(": ("catgen/files.py",),  # an atomic write
  r"\bkeystr\(": ("catgen/trees.py",),  # the path of a leaf
  r"[\"']exact[\"'], [\"']elbo[\"']": ("catgen/evaluation/estimators.py",),  # the list of estimators
  r"math\.log\(2|np\.log\(2|jnp\.log\(2|log2\(|\blog1p\(1\b": ("catgen/bounds.py",),  # nats to bits
  r"random\.categorical\(": ("catgen/distributions/categorical.py",),  # draws of categories, in high mode
  r"default_backend\(|platform_dependent\(|get_backend\(": ("catgen/kernels/",),  # which device this is
  r"\bFLAGS\b": ("launch/",),
}


def name_of(path: pathlib.Path) -> str:
  return path.relative_to(ROOT).as_posix()


@functools.cache
def parsed(path: pathlib.Path) -> ast.Module:
  return ast.parse(path.read_text())


def imported(nodes) -> set[str]:
  found = set()
  for node in nodes:
    if isinstance(node, ast.Import):
      found |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
      found |= {f"{node.module}.{alias.name}" for alias in node.names}
  return found


def functions(path):
  return [node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef)]


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_layers_and_doors(folder):
  for path in sorted(folder.glob("*.py")):
    check_imports(path)


def check_imports(path):
  name = name_of(path)
  folder = "launch" if path in LAUNCH else "/".join(name.split("/")[:2])
  own = folder.replace("/", ".")
  for module in imported(ast.walk(parsed(path))):
    if module.startswith("catgen") and folder in ALLOWED:
      permitted = {own, *ALLOWED[folder]}
      assert any(module == p or module.startswith(p + ".") for p in permitted), f"{name} imports {module}"
    top = module.split(".")[0]
    assert not (name.startswith("catgen/") and top in ("launch", "configs", "tests", "benchmarks")), name
    if top in DOORS:
      assert name.startswith(DOORS[top]), f"{name} imports {top}, whose door is {DOORS[top]}"


def test_every_folder_of_catgen_has_a_layer():
  folders = {"/".join(name_of(path).split("/")[:2]) for path in CATGEN if len(path.relative_to(ROOT).parts) > 2}
  assert folders <= set(ALLOWED)


def test_imports_go_in_no_circle():
  """Modules that import each other when they are loaded; imports within functions are left out."""
  modules = {name_of(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__"): path for path in CATGEN}

  def needs(module):
    for found in imported(parsed(modules[module]).body):
      yield found if found in modules else found.rsplit(".", 1)[0]

  graph = {module: {other for other in needs(module) if other in modules and other != module} for module in modules}
  while free := [module for module, others in graph.items() if not others & graph.keys()]:
    for module in free:
      del graph[module]
  circle = {module: sorted(others & graph.keys()) for module, others in graph.items()}
  assert not circle


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_files_and_functions_stay_small(folder):
  paths = sorted(folder.glob("*.py"))
  assert not [name_of(path) for path in paths if len(path.read_text().splitlines()) > 400]
  for path, node in ((each, node) for each in paths for node in functions(each)):
    body = node.end_lineno - node.body[0].lineno + 1
    if ast.get_docstring(node):
      body = node.end_lineno - node.body[0].end_lineno
    assert body <= 60, f"{name_of(path)}: {node.name} has {body} lines"


def test_most_files_are_short():
  lengths = sorted(len(path.read_text().splitlines()) for path in CATGEN if path.name != "__init__.py")
  assert lengths[len(lengths) // 2] <= 150


@pytest.mark.parametrize("path", LAUNCH, ids=name_of)
def test_entry_points_only_pass_on(path):
  text, modules = path.read_text(), {module.split(".")[0] for module in imported(ast.walk(parsed(path)))}
  assert len(text.splitlines()) <= 40
  assert not modules & {"numpy", "jax", "flax", "optax", "launch", "configs"}
  assert "FLAGS" not in text
  assert not any(isinstance(node, ast.For | ast.While | ast.AsyncFor) for node in ast.walk(parsed(path)))


@pytest.mark.parametrize("folder", OF_CATGEN, ids=name_of)
def test_public_things_are_documented(folder):
  for path in sorted(folder.glob("*.py")):
    assert ast.get_docstring(parsed(path)), f"{name_of(path)}: the module"
    for node in parsed(path).body:
      if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
        assert ast.get_docstring(node), f"{name_of(path)}: {node.name}"


def test_a_type_variable_is_named_as_no_class():
  """The reference would have two targets for the name."""
  nodes = [node for path in CATGEN for node in parsed(path).body]
  classes = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
  variables = {node.targets[0].id for node in nodes if isinstance(node, ast.Assign) and "TypeVar(" in ast.unparse(node)}
  assert variables
  assert not variables & classes


@pytest.mark.parametrize(("pattern", "homes"), HOMES.items(), ids=str)
def test_an_idea_has_one_home(pattern, homes):
  users = [name_of(path) for path in [*CATGEN, *LAUNCH] if re.search(pattern, path.read_text())]
  assert not [user for user in users if not user.startswith(homes or ("nowhere",))]


@pytest.mark.parametrize("folder", OF_CATGEN, ids=name_of)
def test_paths_go_through_the_files_layer(folder):
  """So that a run and its data may lie in an object store: see catgen/paths.py and catgen/files.py."""
  paths = [path for path in sorted(folder.glob("*.py")) if not name_of(path).startswith(LOCAL)]
  lines = [(name_of(path), line) for path in paths for line in path.read_text().splitlines()]
  assert not [found for found in lines if BY_HAND.search(found[1])]


def test_the_files_of_runs_are_read_as_json_by_one_function():
  """`files.from_json` refuses what is nested too deeply and numbers that are no counts."""
  users = {name_of(path) for path in CATGEN if re.search(r"\bjson\.loads?\((?!json\.dumps)", path.read_text())}
  of_users = ("data/tables.py", "data/tokens.py", "data/sets/text_table.py", "media/text_files.py")
  assert users <= {"catgen/files.py", *(f"catgen/{name}" for name in of_users)}


def test_nothing_is_asked_for_its_attributes():
  """A capability that is lacking is None; layers and models are never probed."""
  layers = ("catgen/networks/", "catgen/flows/", "catgen/models/", "catgen/training/step", "catgen/training/loop")
  layers += ("catgen/evaluation/", "catgen/runs/", "catgen/media/")
  asking = [name_of(path) for path in CATGEN if name_of(path).startswith(layers) and "hasattr(" in path.read_text()]
  assert not asking


def test_examples_are_no_bare_pairs():
  """Where examples are read, scored or shown they are one record: no function takes both an x and a valid beside it."""
  for path in CATGEN:
    if name_of(path).startswith(("catgen/data/", "catgen/evaluation/", "catgen/runs/", "catgen/media/")):
      for node in functions(path):
        names = {argument.arg for argument in [*node.args.args, *node.args.kwonlyargs]}
        assert not {"x", "valid"} <= names or node.name == "decode", f"{name_of(path)}: {node.name}"


def test_nothing_is_named_for_being_left_over():
  left_over = re.compile(r"^(utils?|common|misc|helpers?|uses|.*_(parts|uses|utils|helpers))$")
  assert not [name_of(path) for path in FILES if left_over.match(path.stem)]

"""Configurations: files of nested sections, filled from signatures; the only place where names meet factories.

load_config("quickstart", {"training.num_steps": "200"})     # every key, as a plain dict, and where it was set
make_model(config["model"], event)                           # objects from sections
"""

from catgen.config.files import AnyConfiguration, Configuration, configuration, from_values, like, load_config, names
from catgen.config.make import make_model, make_source, make_stand_in, make_training_optimizer, model_takes
from catgen.config.overrides import apply_overrides
from catgen.config.printing import describe
from catgen.config.sections import fill, flat, resolve
from catgen.config.small import small_section

__all__ = [
  "AnyConfiguration",
  "Configuration",
  "apply_overrides",
  "configuration",
  "describe",
  "fill",
  "flat",
  "from_values",
  "like",
  "load_config",
  "make_model",
  "make_source",
  "make_stand_in",
  "make_training_optimizer",
  "model_takes",
  "names",
  "resolve",
  "small_section",
]

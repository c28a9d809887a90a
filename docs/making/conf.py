"""Settings of Sphinx."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT))

project = "catgen"
author = "the authors of catgen"
project_copyright = "the authors of catgen, Apache-2.0"
(release,) = re.findall(r'__version__ = "(.+)"', (ROOT / "catgen" / "__init__.py").read_text(encoding="utf-8"))
extensions = ["myst_nb", "docs.making.mathml", "docs.making.source"]
root_doc = "index"
language = "en"
exclude_patterns = ["jupyter_execute"]

myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
nb_execution_mode = "off"  # `docs.making` executes them before, where it is asked to
suppress_warnings = ["mystnb.unknown_mime_type", "misc.highlighting_failure"]

add_module_names = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries = False
default_role = None
html_math_renderer = "mathml"
html_theme = "furo"
html_title = "catgen"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_search_scorer = str(pathlib.Path(__file__).with_name("scorer.js"))
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
  "light_css_variables": {"color-brand-primary": "#2456a6", "color-brand-content": "#2456a6"},
  "dark_css_variables": {"color-brand-primary": "#8ab4f8", "color-brand-content": "#8ab4f8"},
}
linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_ignore = [r"https?://(127\.0\.0\.1|localhost)"]

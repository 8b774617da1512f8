"""How Sphinx builds the site: `make site`, or `python -m sphinx -c docs . build/site`.

The source folder is the whole repository, so that a link from one page to another works on the
site as it does between the files. Nothing is executed and nothing is fetched: lessons come with
their outputs, and names of other projects from the plain lists in `inventories/`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

from site_settings import repository_of  # noqa: E402

import flowerlib  # noqa: E402

project = "flowerlib"
author = "flowerlib contributors"
copyright = "flowerlib contributors, MIT license"
version = release = flowerlib.__version__

# The one setting that names the published repository, such as https://github.com/NAME/flowerlib:
# launch links follow it. By default, it is where this copy was cloned from.
repository_url = os.environ.get("FLOWERLIB_REPOSITORY") or repository_of(HERE.parent)

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
    "lesson_pages",
    "reference",
    "command_help",
]
root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/**", "data/README.md", "*.md"]
exclude_patterns = [
    ".*", "build", "benchmarks", "flowerlib", "results", "tests", "tools", "shared", "README.md",
    "docs/_*", "*.egg-info", "**/.ipynb_checkpoints",
]  # fmt: skip

nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

# Docstrings: Google style, `name` for code or for something in the reference.
default_role = "py:obj"
autosummary_generate = True
autosummary_generate_overwrite = True
autosummary_imported_members = True  # what a package takes into its __all__ …
autosummary_ignore_module_all = False  # … and nothing else
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
toc_object_entries_show_parents = "hide"

# Version 1 of the format is plain text, which can be read and reviewed.
intersphinx_mapping = {
    name: (url, str(HERE / "inventories" / f"{name}.inv"))
    for name, url in {
        "matplotlib": "https://matplotlib.org/stable/",
        "numpy": "https://numpy.org/doc/stable/",
        "pillow": "https://pillow.readthedocs.io/en/stable/",
        "python": "https://docs.python.org/3/",
        "sklearn": "https://scikit-learn.org/stable/",
        "torch": "https://docs.pytorch.org/docs/stable/",
        "torchvision": "https://docs.pytorch.org/vision/stable/",
    }.items()
}

templates_path = [str(HERE / "_templates")]  # autosummary looks for it in the source folder
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_theme = "pydata_sphinx_theme"
html_title = "flowerlib"
html_additional_pages = {"index": "start.html"}
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "flowerlib"},
    "navbar_center": [],
    "show_toc_level": 2,
    "primary_sidebar_end": [],
    "article_header_end": ["lesson-links"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "search_bar_text": "Search lessons and reference",
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars = {"**": ["contents"]}

"""The API document and the docs page. `make docs` writes them, and functions.api.docs serves them."""

from __future__ import annotations

from pathlib import Path

OPENAPI_JSON = Path(__file__).with_name("openapi.json")
DOCS_HTML = Path(__file__).with_name("docs.html")

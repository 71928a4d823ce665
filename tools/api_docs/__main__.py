"""Write the OpenAPI document and the docs page, which the gateway serves as files: `make docs`."""

from __future__ import annotations

import json

from functions.api.static import DOCS_HTML, OPENAPI_JSON
from tools.api_docs.document import document
from tools.api_docs.page import page


def main() -> None:
    """Write both files."""
    OPENAPI_JSON.write_text(openapi_text(), encoding="utf-8")
    DOCS_HTML.write_text(docs_text(), encoding="utf-8")


def openapi_text() -> str:
    """Return the OpenAPI document as text, one value per line so that changes can be reviewed."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


def docs_text() -> str:
    """Return the docs page."""
    return page(document())


if __name__ == "__main__":
    main()

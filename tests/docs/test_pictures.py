"""The pictures of the documentation are those that `make docs` creates from today's code.

tests/docs/test_examples.py checks the terminal picture, because that needs a running gateway.
"""

from __future__ import annotations

from PIL import Image, ImageChops

from tests.docs.pages import ROOT, all_pages
from tools import flow_picture, sample_outputs

MOST_BYTES = 60_000


def test_the_flow_picture_is_current() -> None:
    """`make docs` would write the same file."""
    assert flow_picture.PICTURE.read_text(encoding="utf-8") == flow_picture.picture(), "run `make docs`"


def test_the_sample_outputs_are_those_of_the_bundled_workflows() -> None:
    """Each workflow has one, with the pixels that its run on the simulator creates today."""
    samples = sample_outputs.sample_outputs()
    assert samples.keys() == {path.name.removesuffix(".schema.json") for path in ROOT.glob("workflows/*.schema.json")}
    for workflow, sample in samples.items():
        with Image.open(sample_outputs.PICTURES / f"{workflow}.webp") as committed:
            assert ImageChops.difference(committed.convert("RGB"), sample).getbbox() is None, "run `make docs`"


def test_pictures_are_small_and_used() -> None:
    """A reader on a phone loads them, too."""
    shown = {(page.path.parent / link).resolve() for page in all_pages() for link in page.links if "://" not in link}
    for path in sample_outputs.PICTURES.iterdir():
        assert path in shown, path
        assert path.stat().st_size < MOST_BYTES, path

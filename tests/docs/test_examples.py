"""Every example of the documentation works, on a whole gateway."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.docs.examples import RUN, SHOWN, Reader, script_of
from tests.docs.pages import Page, all_pages
from tests.local.command import GatewayProcess, wait_until
from tests.webhooks.receiver import Receiver, responds
from tools import terminal_picture

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = all_pages()
FILES = {
    "examples/n8n_workflow.json": "node tests/docs/n8n.mjs examples/n8n_workflow.json",
    "examples/supabase": "node tests/docs/deno.mjs examples/supabase/functions/make-image/index.ts",
}  # examples that are not blocks of a page; tests/webhooks runs the webhook receivers
EXECUTOR_SECONDS = 30


@dataclass(frozen=True)
class Gateway:
    """A gateway that runs on this machine."""

    url: str
    data_dir: Path

    def executors(self) -> list[Any]:
        """Return its executors."""
        return list(requests.get(f"{self.url}/health", timeout=10).json()["executors"])


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a whole gateway with the simulator."""
    folder = tmp_path_factory.mktemp("gateway")
    run = GatewayProcess(folder / "output", DATA_DIR=str(folder / "data"))
    try:
        started = Gateway(run.up(), folder / "data")
        wait_until(lambda: bool(started.executors()), EXECUTOR_SECONDS)
        yield started
    finally:
        run.end()


def test_the_terminal_picture_shows_todays_output(gateway: Gateway) -> None:
    """`make docs` would draw the same last screen, except for numbers. First here: the next test takes long."""
    committed = terminal_picture.PICTURE.read_text(encoding="utf-8")
    assert terminal_picture.is_current(committed, terminal_picture.screens(gateway.url)[-1]), "run `make docs`"


@pytest.mark.timeout(300)  # many processes
def test_all_examples_run(gateway: Gateway, tmp_path: Path) -> None:
    """Shell, Python and JavaScript blocks run page by page, in the order of the page."""
    scripts = {page.name: script_of(page) for page in PAGES} | FILES
    with Receiver(responds(204)) as receiver:
        addresses = {
            "http://127.0.0.1:8188": gateway.executors()[0]["comfyui"]["url"],
            "https://app.example.com/hooks/comfyui": receiver.url,
        }
        reader = Reader(tmp_path, gateway_url=gateway.url, addresses=addresses, data_dir=gateway.data_dir)
        by_commands = sorted(scripts.items(), key=lambda item: item[1].count("comfyui-gateway "), reverse=True)
        with ThreadPoolExecutor(3) as pool:  # slowest pages first, so that none of them runs alone at the end
            runs = [pool.submit(reader.run, name, script) for name, script in by_commands if script]
            failures = [failure for run in runs if (failure := run.result())]
    assert not failures, "\n\n".join(map(str, failures))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_are_of_known_languages(page: Page) -> None:
    """A block is either run or known to be only shown; JSON that is shown is valid JSON."""
    assert {block.language for block in page.blocks} <= RUN.keys() | SHOWN
    for block in page.blocks:
        if block.language == "json":
            json.loads(block.text)

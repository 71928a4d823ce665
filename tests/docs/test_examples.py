"""Every example of the documentation does what it says, on a whole gateway."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import requests

from tests.docs.examples import RUN, SHOWN, Desk, script_of
from tests.docs.pages import Page, all_pages
from tests.executor.stage import wait_until
from tests.local.command import Run
from tests.webhooks.receiver import Receiver, answers

if TYPE_CHECKING:
    from pathlib import Path

PAGES = all_pages()
FILES = {
    "examples/n8n_workflow.json": "node tests/docs/n8n.mjs examples/n8n_workflow.json",
    "examples/supabase": "node tests/docs/deno.mjs examples/supabase/functions/make-image/index.ts",
}  # examples that are no blocks of a page; those of webhook receivers are run in tests/webhooks
MOST_NOT_RUN = 24  # blocks of all pages: AWS accounts, container engines, and what runs until it is stopped
EXECUTOR_SECONDS = 30


def executors(url: str) -> list[Any]:
    """Ask a gateway which executors it has."""
    return list(requests.get(f"{url}/health", timeout=10).json()["executors"])


@pytest.mark.timeout(300)  # many processes, one after the other
def test_all_examples_run(tmp_path: Path) -> None:
    """Shell, Python and JavaScript, page by page, in the order in which they stand there."""
    scripts = {page.name: script_of(page) for page in PAGES} | FILES
    data = tmp_path / "data"
    gateway = Run(tmp_path / "output", DATA_DIR=str(data))
    try:
        with Receiver(answers(204)) as receiver:
            url = gateway.up()
            wait_until(lambda: executors(url), "the executor tells of itself", EXECUTOR_SECONDS)
            addresses = {
                "http://127.0.0.1:8188": executors(url)[0]["comfyui"]["url"],
                "https://app.example.com/hooks/comfyui": receiver.url,
            }
            desk = Desk(tmp_path, gateway_url=url, addresses=addresses, data_dir=data)
            with ThreadPoolExecutor(3) as pool:
                runs = [pool.submit(desk.run, name, script) for name, script in scripts.items() if script]
                failures = [failure for run in runs if (failure := run.result())]
    finally:
        gateway.end()
    assert not failures, "\n\n".join(map(str, failures))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_are_of_languages_that_are_known(page: Page) -> None:
    """One that is neither run nor known to be shown only would escape; JSON that is shown is JSON."""
    assert {block.language for block in page.blocks} <= RUN.keys() | SHOWN
    for block in page.blocks:
        if block.language == "json":
            json.loads(block.text)


def test_few_blocks_are_not_run() -> None:
    """Each says why, and there is hardly any other way for those that are left."""
    reasons = [block.not_run for page in PAGES for block in page.blocks if block.not_run]
    assert len(reasons) <= MOST_NOT_RUN

"""Inputs that are detected in graphs: prompts, sizes, sampler settings, models."""

from __future__ import annotations

import copy
import json
from importlib import resources
from typing import Any

import pytest

from cli.workflow_proposal import Proposal, propose
from gateway.domain.template import token_names
from gateway.domain.workflow import WorkflowTemplate
from tests.cli.graphs import flux, node, two_passes, video

# Not detectable: a part of a longer text, and settings with a meaning in this workflow only.
NOT_FOUND = {"sprite_transparent_bg": {"background", "tolerance", "fill_holes"}}


def bundled(file: str) -> Any:  # noqa: ANN401  JSON
    """Read a bundled file."""
    return json.loads(resources.files("workflows").joinpath(file).read_text(encoding="utf-8"))


def found(proposal: Proposal) -> dict[str, Any]:
    """Return the detected inputs with their values in the graph."""
    return {finding.name: finding.value for finding in proposal.inputs}


def run_with(proposal: Proposal, **inputs: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    """Register a proposal as the gateway does, and render it."""
    template = WorkflowTemplate.register(proposal.graph, proposal.schema, None)
    return template.render(template.values(inputs, {}, None))


@pytest.mark.parametrize("name", ["icon_512", "sdxl_realism_v1", "sprite_transparent_bg"])
def test_inputs_of_bundled_workflows_are_detected(name: str) -> None:
    """From a graph rendered with the defaults: the same inputs, defaults and targets as in the schema."""
    graph, schema = bundled(f"{name}.json"), bundled(f"{name}.schema.json")
    template = WorkflowTemplate.register(graph, schema, None)
    values = template.values({"prompt": "a fox", "negative_prompt": "a cat", "seed": 7}, {}, None)
    proposal = propose(template.render(values))
    wanted = set(schema["properties"]) - NOT_FOUND.get(name, set())
    assert set(found(proposal)) == wanted
    assert proposal.schema["required"] == ["prompt"]
    for field in wanted - {"prompt", "negative_prompt"}:
        assert proposal.schema["properties"][field]["default"] == schema["properties"][field]["default"], field
        assert proposal.schema["properties"][field]["type"] in (schema["properties"][field]["type"], "number"), field
    targets = {
        (node_id, each)
        for node_id, made in graph.items()
        for each, value in made["inputs"].items()
        if token_names({"1": {"inputs": {"v": value}}}) & wanted
    }
    assert {(target.node_id, target.name) for finding in proposal.inputs for target in finding.targets} == targets
    rendered = run_with(proposal, prompt="a hen")
    assert rendered["2"]["inputs"]["text"] == "a hen"


def test_inputs_of_a_custom_sampler() -> None:
    """A graph for Flux: the prompt is detected through guider and guidance; the seed is random by default."""
    proposal = propose(flux())
    assert found(proposal) == {
        "prompt": "a lighthouse",
        "width": 1024,
        "height": 768,
        "batch_size": 1,
        "seed": 582911437709173,
        "steps": 20,
        "guidance": 3.5,
        "sampler": "euler",
        "scheduler": "simple",
        "model": "flux1-dev.safetensors",
        "lora": "film.safetensors",
    }
    assert proposal.schema["properties"]["seed"]["default"] == -1
    assert proposal.schema["properties"]["prompt"]["examples"] == ["a lighthouse"]
    assert run_with(proposal, prompt="a ship", seed=5)["25"]["inputs"]["noise_seed"] == 5


def test_inputs_of_a_video() -> None:
    """Both prompts, size, length and frame rate. A size that is no multiple of eight is a valid default."""
    proposal = propose(video())
    names = found(proposal)
    assert (names["prompt"], names["negative_prompt"]) == ("a fox runs", "static, blurry")
    assert (names["width"], names["height"], names["length"], names["fps"]) == (830, 480, 81, 16.0)
    assert run_with(proposal, prompt="a hen runs", length=33)["7"]["inputs"]["length"] == 33


def test_different_values_are_separate_inputs() -> None:
    """Two prompts, two numbers of steps, and one seed behind a link. Values beyond the usual limits stay valid."""
    proposal = propose(two_passes())
    names = found(proposal)
    assert (names["prompt"], names["prompt_2"]) == ("the whole image", "only its details")
    assert (names["steps"], names["steps_2"]) == (20, 200)
    assert names["seed"] == 18446744073709551615
    assert "seed_2" not in names
    assert "negative_prompt" not in names
    assert proposal.schema["required"] == ["prompt"]
    rendered = run_with(proposal, prompt="all", seed=3)
    assert (rendered["3"]["inputs"]["text"], rendered["4"]["inputs"]["text"]) == ("all", "only its details")
    assert (rendered["20"]["inputs"]["value"], rendered["7"]["inputs"]["seed"]) == (3, ["20", 0])
    assert (rendered["6"]["inputs"]["width"], rendered["9"]["inputs"]["steps"]) == (4096, 200)
    assert rendered["9"]["inputs"]["sampler_name"] == "my_own_sampler"


def test_a_second_seed_has_a_fixed_default() -> None:
    """The gateway draws one seed only; the default of another seed is the graph's value."""
    graph = two_passes()
    graph["9"]["inputs"]["seed"] = 5
    proposal = propose(graph)
    assert proposal.schema["properties"]["seed_2"]["default"] == 5
    assert proposal.schema["properties"]["seed_2"]["minimum"] == 0
    run_with(proposal, prompt="x")


def test_prompts_without_a_sampler() -> None:
    """All encoded texts are prompts; the negative prompt is identified by its title."""
    graph = {
        "1": node("TextEncodeAceStepAudio", tags="piano", lyrics="", clip=["9", 0]),
        "2": node("CLIPTextEncode", "My negative", text="noise", clip=["9", 0]),
        "9": node("CLIPLoader", clip_name="c.safetensors", type="ace"),
        "3": node("SomeAudio", conditioning_in=["1", 0], other=["2", 0]),
    }
    assert found(propose(graph)) == {"prompt": "piano", "lyrics": "", "negative_prompt": "noise"}


def test_inputs_of_a_song() -> None:
    """Lyrics and duration are separate inputs; the lyrics are not a second prompt."""
    graph = {
        "1": node("TextEncodeAceStepAudio", tags="piano", lyrics="[verse] la", lyrics_strength=1.0, clip=["5", 1]),
        "2": node("EmptyAceStepLatentAudio", seconds=120.0, batch_size=1),
        "3": node("KSampler", positive=["1", 0], negative=["4", 0], latent_image=["2", 0], seed=1),
        "4": node("ConditioningZeroOut", conditioning=["1", 0]),
        "5": node("CheckpointLoaderSimple", ckpt_name="ace.safetensors"),
    }
    proposal = propose(graph)
    assert found(proposal) == {
        "prompt": "piano", "lyrics": "[verse] la", "seconds": 120.0, "seed": 1, "checkpoint": "ace.safetensors",
    }  # fmt: skip
    assert proposal.schema["properties"]["lyrics"]["default"] == "[verse] la"
    assert run_with(proposal, prompt="flute", seconds=30)["2"]["inputs"]["seconds"] == 30


def test_a_graph_without_known_nodes() -> None:
    """There are no inputs, and the graph is not changed."""
    graph = {"1": node("Mystery", a=1, b=[1, 2, 3]), "2": node("SaveImage", images=["1", 0], filename_prefix="x")}
    proposal = propose(graph)
    assert (proposal.inputs, proposal.graph, proposal.schema["properties"]) == ([], graph, {})


def test_existing_tokens_are_kept() -> None:
    """Then only these tokens are inputs, because their author has chosen them."""
    graph = {
        "1": node("CLIPTextEncode", text="{{prompt}}, {{ style }}", clip=["2", 1]),
        "2": node("CheckpointLoaderSimple", ckpt_name="x.ckpt"),
        "3": node("KSampler", positive=["1", 0], seed="{{seed}}", steps=20),
    }
    proposal = propose(graph)
    assert proposal.graph == graph
    assert set(found(proposal)) == {"prompt", "style", "seed"}
    assert proposal.schema["required"] == ["prompt", "style"]
    assert run_with(proposal, prompt="a", style="b", seed=4)["1"]["inputs"]["text"] == "a, b"


def test_unusual_graphs() -> None:
    """Cycles, dangling links, and values of unexpected types cause no endless loop and no exception."""
    graph = {
        "1": node("Combine", positive=["2", 0], negative=["1", 0]),
        "2": node("Combine", positive=["1", 0], negative=["404", 0], conditioning=["2", 0]),
        "3": node("KSampler", positive=5, negative=None, seed=["4", 0], steps=[1, 2, 3], cfg="high", scheduler=True),
        "4": node("Loop", value=["4", 0]),
        "5": {"class_type": "NoInputs"},
        "6": node("EmptyLatentImage", width=["6", 0], height=[], batch_size={"a": 1}),
    }
    before = copy.deepcopy(graph)
    assert found(propose(graph)) == {"cfg": "high", "scheduler": True}
    assert graph == before


def test_names_of_files_are_not_proposed_as_inputs() -> None:
    """A text that reaches a loader stays as it is, also one that is a prompt at the same time."""
    graph = flux()
    graph["6"]["inputs"]["text"] = ["30", 0]
    graph["30"] = node("PrimitiveString", value="fox.png")
    graph["31"] = node("LoadImage", image=["30", 0])
    graph["32"] = node("Unknown", seconds=3, mask_file=["33", 0])
    graph["33"] = node("Names", fps=24)
    proposal = propose(graph)
    assert "prompt" not in found(proposal)
    assert "fps" not in found(proposal)
    assert "seconds" in found(proposal)
    run_with(proposal)

"""Before a job is accepted: its template, its values, its prompt, and whether its result is there already.

    head ─▶ template ─▶ values ─▶ prompt, cache key ─▶ a result of the same key?

The key needs the template's version, so the head comes first. A warm function knows the head of the last
request: it makes the key from that one and reads head and result in one call; when the head has changed
meanwhile, it starts again.

Who lets the seed be drawn asks for something new: no result is looked for, and none is kept, since hardly anybody
would ever find it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gateway.domain import timestamps
from gateway.domain.result_cache import cache_key
from gateway.errors import Problem, RequestInvalidError, WorkflowNotFoundError
from gateway.limits import MAX_PRIVATE_PROMPT_BYTES, MAX_PROMPT_BYTES

if TYPE_CHECKING:
    from functions.use_cases.submit_job import Submission
    from gateway.domain.inputs import Limits, Values
    from gateway.domain.job import Job
    from gateway.domain.result_cache import CachedResult
    from gateway.domain.workflow import WorkflowHead, WorkflowTemplate
    from gateway.ports import ObjectStore, ResultCache, WorkflowStore


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt, and the bytes it will travel as."""

    graph: dict[str, Any]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that a job is made of."""

    head: WorkflowHead
    values: Values
    prompt: EncodedPrompt
    cache_key: str | None  # None when the result is not to be kept
    private: bool  # whether the record may hold what the caller sent


class Preparation:
    """Prepares jobs. `results`: None when results are not kept; `shared`: every owner's can be anybody's.

    `private`: whether new jobs are to be private.
    """

    def __init__(  # noqa: PLR0913  ports and settings, each a different thing
        self,
        workflows: WorkflowStore,
        outputs: ObjectStore,
        limits: Limits,
        results: ResultCache | None,
        *,
        shared: bool,
        private: bool,
    ) -> None:
        self._workflows = workflows
        self._outputs = outputs
        self._limits = limits
        self._results = results
        self._shared = shared
        self._private = private
        self._known_heads: dict[str, WorkflowHead] = {}

    def prepare(self, submission: Submission) -> tuple[Prepared, CachedResult | None]:
        """Prepare a job, and find the result that it would have. Raises WorkflowNotFoundError, RequestInvalidError."""
        known = self._known_heads.get(submission.workflow_id)
        if known is not None:
            found = self._with_known_head(known, submission)
            if found is not None:
                return found
        head = self._workflows.head(submission.workflow_id)
        if head is None:
            self._known_heads.pop(submission.workflow_id, None)
            raise WorkflowNotFoundError(submission.workflow_id)
        self._known_heads[head.id] = head
        prepared = self._prepare(head, submission)
        if self._results is None or prepared.cache_key is None:
            return prepared, None
        return prepared, self._usable(self._results.find(prepared.cache_key, now=timestamps.now()))

    def prompt_again(self, submission: Submission, job: Job) -> EncodedPrompt:
        """Make the prompt of a job that this very request was accepted as before, with its template and its seed."""
        template = self._workflows.template(job.template_key)
        # What was accepted stays so, whatever became of the limits.
        values = template.values(submission.inputs, submission.params, limits=None, drawn_seed=job.seed)
        return _rendered(template, values, private=job.private)

    def _with_known_head(
        self, known: WorkflowHead, submission: Submission
    ) -> tuple[Prepared, CachedResult | None] | None:
        try:
            prepared = self._prepare(known, submission)
        except RequestInvalidError:
            return None  # a newer version may take it
        if self._results is None or prepared.cache_key is None:
            return (prepared, None) if self._workflows.head(known.id) == known else None
        head, result = self._results.find_with_head(prepared.cache_key, known.id, now=timestamps.now())
        return (prepared, self._usable(result)) if head == known else None

    def _prepare(self, head: WorkflowHead, submission: Submission) -> Prepared:
        template = self._workflows.template(head.template_key)
        values = template.values(submission.inputs, submission.params, self._limits)
        owner = None if self._shared else submission.owner
        keeps = self._results is not None and not values.seed_drawn
        return Prepared(
            head=head,
            values=values,
            prompt=_rendered(template, values, private=self._private),
            cache_key=cache_key(head, values, owner=owner, private=self._private) if keeps else None,
            private=self._private,
        )

    def _usable(self, result: CachedResult | None) -> CachedResult | None:
        """Pass a result on when its files are still there: somebody may have removed them."""
        if result is not None and all(self._outputs.exists(output.key) for output in result.outputs):
            return result
        return None


def _rendered(template: WorkflowTemplate, values: Values, *, private: bool) -> EncodedPrompt:
    graph = template.render(values)
    body = json.dumps(graph, separators=(",", ":"), ensure_ascii=False).encode()
    most = MAX_PRIVATE_PROMPT_BYTES if private else MAX_PROMPT_BYTES
    if len(body) > most:
        why = " in privacy mode, in which prompts are kept nowhere but in the queue" if private else ""
        raise RequestInvalidError(
            [Problem("inputs", f"The prompt they make has {len(body)} bytes; at most {most} are allowed{why}.")]
        )
    return EncodedPrompt(graph, body)

"""Plan a job before it is accepted: template, values, prompt, cache key, and an equal job's result if there is one.

    head ─▶ template ─▶ values ─▶ prompt, cache key ─▶ cached result?

The cache key needs the template's version, so the head comes first. A warm function knows the head of the last
request: it makes the key from that one and reads head and result in one call. When the head has changed meanwhile, it
starts again.

A caller that lets the seed be drawn asks for something new: no result is looked up, and none is stored, because a
random seed is practically never requested again. The same holds for a workflow that loads files of ComfyUI's host:
another file can have the same name by then.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gateway.domain.result_cache import cache_key
from gateway.domain.template import compact_json
from gateway.errors import Problem, RequestInvalidError, WorkflowNotFoundError
from gateway.limits import MAX_PRIVATE_PROMPT_BYTES, MAX_PROMPT_BYTES

if TYPE_CHECKING:
    from gateway.domain.inputs import Limits, Values
    from gateway.domain.job import Job
    from gateway.domain.result_cache import CachedResult
    from gateway.domain.submission import Submission
    from gateway.domain.workflow import WorkflowHead, WorkflowTemplate
    from gateway.ports import Clock, ObjectStore, ResultCache, WorkflowStore


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """A prompt, and the bytes that are sent."""

    graph: dict[str, Any]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPlan:
    """Everything that a job is made of."""

    head: WorkflowHead
    values: Values
    prompt: EncodedPrompt
    cache_key: str | None  # None when the result is not to be stored
    private: bool  # privacy mode: nothing that the caller sent may be in the record
    cached_result: CachedResult | None = None  # of an equal job: this one need not run


class JobPlanner:
    """Plans jobs. `results`: None when results are not cached; `shared`: all owners share their results.

    `private`: whether new jobs are private.
    """

    def __init__(  # noqa: PLR0913  ports and settings, each a different thing
        self,
        workflows: WorkflowStore,
        outputs: ObjectStore,
        results: ResultCache | None,
        clock: Clock,
        limits: Limits,
        *,
        shared: bool,
        private: bool,
    ) -> None:
        self._workflows = workflows
        self._outputs = outputs
        self._results = results
        self._clock = clock
        self._limits = limits
        self._shared = shared
        self._private = private
        self._known_heads: dict[str, WorkflowHead] = {}

    def plan(self, submission: Submission) -> JobPlan:
        """Plan a job. Raises WorkflowNotFoundError or RequestInvalidError."""
        known = self._known_heads.get(submission.workflow_id)
        if known is not None:
            plan = self._plan_with_known_head(known, submission)
            if plan is not None:
                return plan
        head = self._workflows.head(submission.workflow_id)
        if head is None:
            self._known_heads.pop(submission.workflow_id, None)
            raise WorkflowNotFoundError(submission.workflow_id)
        self._known_heads[head.id] = head
        plan = self._plan(head, submission)
        if self._results is None or plan.cache_key is None:
            return plan
        return self._with_result(plan, self._results.find(plan.cache_key, now=self._clock.now()))

    def prompt_again(self, submission: Submission, job: Job) -> EncodedPrompt:
        """Render the prompt of a job that this very request was accepted as before, with its template and seed."""
        template = self._workflows.template(job.template_key)
        # An accepted job stays accepted, even if the limits have changed since.
        values = template.values(submission.inputs, submission.params, limits=None, drawn_seed=job.seed)
        return _render(template, values, private=job.private)

    def _plan_with_known_head(self, known: WorkflowHead, submission: Submission) -> JobPlan | None:
        """Plan with a head from memory; None when that may not be the newest one."""
        try:
            plan = self._plan(known, submission)
        except RequestInvalidError:
            return None  # a newer version may accept it
        if self._results is None or plan.cache_key is None:
            return plan if self._workflows.head(known.id) == known else None
        head, result = self._results.find_with_head(plan.cache_key, known.id, now=self._clock.now())
        return self._with_result(plan, result) if head == known else None

    def _plan(self, head: WorkflowHead, submission: Submission) -> JobPlan:
        template = self._workflows.template(head.template_key)
        values = template.values(submission.inputs, submission.params, self._limits)
        owner = None if self._shared else submission.owner
        stores_result = self._results is not None and not values.seed_drawn and not template.loads_host_files
        return JobPlan(
            head=head,
            values=values,
            prompt=_render(template, values, private=self._private),
            cache_key=cache_key(head, values, owner=owner, private=self._private) if stores_result else None,
            private=self._private,
        )

    def _with_result(self, plan: JobPlan, result: CachedResult | None) -> JobPlan:
        """Add a cached result if its files are still stored: somebody may have removed them."""
        if result is not None and all(self._outputs.exists(output.key) for output in result.outputs):
            return replace(plan, cached_result=result)
        return plan


def _render(template: WorkflowTemplate, values: Values, *, private: bool) -> EncodedPrompt:
    limit = MAX_PRIVATE_PROMPT_BYTES if private else MAX_PROMPT_BYTES
    size = template.rendered_bytes(values)
    if size > limit:
        why = " in privacy mode, in which prompts are stored nowhere but in the queue" if private else ""
        raise RequestInvalidError(
            [Problem("inputs", f"The rendered prompt has {size} bytes; at most {limit} are allowed{why}.")]
        )
    graph = template.render(values)
    return EncodedPrompt(graph, compact_json(graph).encode())

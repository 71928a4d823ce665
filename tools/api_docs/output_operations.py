"""`/outputs` in words."""

from __future__ import annotations

from functions.api import responses
from gateway.errors import JobNotFoundError, OutputNotFoundError, PayloadTooLargeError
from tools.api_docs import examples
from tools.api_docs.operation import JOB_ID, Answer, Operation, Parameter, Tag, query

OUTPUT_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/outputs/{jobId}",
        id="listOutputs",
        tag=Tag.OUTPUTS,
        summary="List a job's files",
        description="The same objects as in the job itself.",
        parameters=(JOB_ID,),
        answers={
            200: Answer(
                description="The files.", body=responses.OutputListJson, examples={"files": examples.OUTPUT_LIST}
            )
        },
        errors=(JobNotFoundError,),
    ),
    Operation(
        method="GET",
        path="/outputs/{jobId}/{filename}",
        id="getOutput",
        tag=Tag.OUTPUTS,
        summary="Download a file",
        description="The bytes themselves when they are about 4 MB or less, else a redirect to where they lie. "
        "Do not send your API key on to that address: it needs none.",
        parameters=(
            JOB_ID,
            Parameter(
                name="filename",
                where="path",
                schema={"type": "string", "minLength": 1},
                description="As in `filename` of the output, percent-encoded.",
                example=examples.FILENAME,
            ),
            query("format", {"type": "string", "enum": ["base64"]}, "`base64` for JSON that holds the bytes."),
            Parameter(
                name="If-None-Match",
                where="header",
                schema={"type": "string"},
                description="The `ETag` of what you have: the bytes are sent only if they are others.",
            ),
        ),
        answers={
            200: Answer(
                description="The file, of its own media type; or, with `format=base64`, JSON.",
                body=responses.OutputContentJson,
                examples={"base64": examples.OUTPUT_CONTENT},
                media=("*/*",),
                headers=("Content-Disposition", "ETag"),
            ),
            304: Answer(description="You have it already, by your `If-None-Match`.", headers=("ETag",)),
            302: Answer(description="A large file: get it from there.", headers=("Location",)),
        },
        errors=(JobNotFoundError, OutputNotFoundError, PayloadTooLargeError),
    ),
)

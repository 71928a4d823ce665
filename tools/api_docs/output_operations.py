"""Texts of the operations on output files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.errors import JobNotFoundError, OutputNotFoundError, PayloadTooLargeError
from tools.api_docs import examples
from tools.api_docs.operation import JOB_ID, OperationDoc, Parameter, ResponseDoc, Tag, query

if TYPE_CHECKING:
    from collections.abc import Mapping

OUTPUT_OPERATIONS: Mapping[str, OperationDoc] = {
    "listOutputs": OperationDoc(
        tag=Tag.OUTPUTS,
        description="Returns the same objects as `outputs` of the job.",
        parameters=(JOB_ID,),
        responses={200: ResponseDoc(description="The output files.", examples={"files": examples.OUTPUT_LIST})},
        errors=(JobNotFoundError,),
    ),
    "getOutput": OperationDoc(
        tag=Tag.OUTPUTS,
        description="Returns the content of a file up to about 4 MB, and redirects to a presigned URL for a larger "
        "file. Do not send your API key to that URL.",
        parameters=(
            JOB_ID,
            Parameter(
                name="filename",
                where="path",
                schema={"type": "string", "minLength": 1},
                description="The `filename` of the output, percent-encoded.",
                example=examples.FILENAME,
            ),
            query("format", {"type": "string", "enum": ["base64"]}, "`base64` returns JSON with the content."),
            Parameter(
                name="If-None-Match",
                where="header",
                schema={"type": "string"},
                description="The `ETag` of your copy. The content is returned only if it differs.",
            ),
        ),
        responses={
            200: ResponseDoc(
                description="The file with its own media type, or JSON with `format=base64`.",
                examples={"base64": examples.OUTPUT_CONTENT},
                media=("*/*",),
                headers=("Content-Disposition", "ETag"),
            ),
            304: ResponseDoc(description="Your copy is current.", headers=("ETag",)),
            302: ResponseDoc(description="Redirect to the presigned URL of a large file.", headers=("Location",)),
        },
        errors=(JobNotFoundError, OutputNotFoundError, PayloadTooLargeError),
    ),
}

"""`GET /outputs/{id}` and its files: listing and downloading a job's outputs."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
import requests

from gateway.limits import MAX_DIRECT_DOWNLOAD_BYTES
from tests.component.api import AwsGateway, aws_calls
from tests.component.workflows import post, run

if TYPE_CHECKING:
    from tests.component.api import Caller, Gateway, Response

PNG = b"\x89PNG\r\n\x1a\n\x00\xff"
LARGE = b"x" * (MAX_DIRECT_DOWNLOAD_BYTES + 1)


def job_with(gateway: Gateway, caller: Caller, **files: bytes) -> str:
    """Run a job with these outputs (`a_png` is a.png); return its id."""
    job_id: str = post(caller).json["jobId"]
    run(gateway, job_id, {name.replace("_", "."): content for name, content in files.items()})
    return job_id


def fetch(url: str, **headers: str) -> requests.Response:
    """GET a URL without credentials and without following redirects."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, headers=headers, timeout=5, allow_redirects=False)


def assert_no_output(response: Response) -> None:
    """Check for a 404 with the code OUTPUT_NOT_FOUND."""
    assert (response.status, response.json["error"]) == (404, "OUTPUT_NOT_FOUND")


def test_the_list_has_the_outputs_of_the_job(gateway: Gateway, ada: Caller) -> None:
    """The list has the job's outputs in the same order; it is empty before the job has any."""
    queued = post(ada).json["jobId"]
    assert ada.get(f"/outputs/{queued}").json == {"jobId": queued, "files": []}
    job_id = job_with(gateway, ada, b_png=b"b", a_mp4=b"a")
    response = ada.get(f"/outputs/{job_id}").json
    assert response["jobId"] == job_id
    assert [file["filename"] for file in response["files"]] == ["b.png", "a.mp4"]

    def without_download_url(file: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in file.items() if not name.startswith("downloadUrl")}

    of_job = ada.get(f"/jobs/{job_id}").json["outputs"]
    assert [without_download_url(file) for file in response["files"]] == [without_download_url(file) for file in of_job]


def test_the_urls_of_every_file_work(aws_gateway: AwsGateway, ada: Caller) -> None:
    """`url` works with the API key, `downloadUrl` without, also for byte ranges."""
    job_id = post(ada).json["jobId"]
    names = ["ü b+c&d%20e.png", "a#b?.txt", "日本.mp4", "[1] (2) 'x'.png", "sub/dir.png", "%2e%2e.png"]
    run(aws_gateway, job_id, {name: name.encode() for name in names})
    for file in ada.get(f"/outputs/{job_id}").json["files"]:
        content = file["filename"].encode()
        assert ada.get(file["url"]).body == content
        assert fetch(file["downloadUrl"]).content == content
        part = fetch(file["downloadUrl"], Range="bytes=1-2")
        assert (part.status_code, part.content) == (206, content[1:3])


def test_a_file_is_returned_unchanged(gateway: Gateway, ada: Caller) -> None:
    """The response has bytes, type, disposition and ETag, and headers that stop scripts in the file."""
    job_id = job_with(gateway, ada, a_png=PNG)
    response = ada.get(f"/outputs/{job_id}/a.png")
    assert (response.status, response.body) == (200, PNG)
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-disposition"].startswith('inline; filename="a.png"')
    assert response.headers["etag"] == f'"{hashlib.sha256(PNG).hexdigest()}"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]
    assert response.headers["x-correlation-id"]


def test_a_text_file_is_an_attachment_and_a_file_can_be_empty(gateway: Gateway, ada: Caller) -> None:
    """Text is an attachment with its UTF-8 bytes; an empty file has an empty body."""
    job_id = job_with(gateway, ada, a_html="<b>ü".encode(), b_png=b"")
    page = ada.get(f"/outputs/{job_id}/a.html")
    assert page.body == "<b>ü".encode()
    assert page.headers["content-disposition"].startswith("attachment;")
    assert (ada.get(f"/outputs/{job_id}/b.png").status, ada.get(f"/outputs/{job_id}/b.png").body) == (200, b"")


def test_a_matching_etag_is_304(aws_gateway: AwsGateway, ada: Caller) -> None:
    """A matching If-None-Match returns 304 without an S3 call; any other returns the file."""
    job_id = job_with(aws_gateway, ada, a_png=PNG)
    path = f"/outputs/{job_id}/a.png"
    tag = ada.get(path).headers["etag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        with aws_calls(aws_gateway.clients) as calls:
            response = ada.get(path, {"If-None-Match": given})
        assert (response.status, response.body, response.headers["etag"]) == (304, b"", tag)
        assert "s3.GetObject" not in calls
    for given in ('"other"', tag.strip('"'), ""):
        assert ada.get(path, {"If-None-Match": given}).body == PNG
    assert ada.get(f"{path}?format=base64", {"If-None-Match": tag}).status == 200


def test_the_largest_direct_response_fits_lambda(gateway: Gateway, ada: Caller) -> None:
    """The largest file that is not redirected fits Lambda's response limit, in both formats."""
    job_id = job_with(gateway, ada, a_bin=LARGE[1:])
    assert ada.get(f"/outputs/{job_id}/a.bin").body == LARGE[1:]
    assert (
        len(base64.b64decode(ada.get(f"/outputs/{job_id}/a.bin?format=base64").json["data"]))
        == MAX_DIRECT_DOWNLOAD_BYTES
    )


def test_a_large_file_is_a_redirect(aws_gateway: AwsGateway, ada: Caller) -> None:
    """A larger file is a 302 to a presigned URL, and is not read from S3."""
    job_id = job_with(aws_gateway, ada, a_bin=LARGE)
    with aws_calls(aws_gateway.clients) as calls:
        response = ada.get(f"/outputs/{job_id}/a.bin")
    assert (response.status, response.body) == (302, b"")
    assert "s3.GetObject" not in calls
    assert fetch(response.headers["location"]).content == LARGE


def test_a_file_as_base64(gateway: Gateway, ada: Caller) -> None:
    """`format=base64` returns the documented JSON."""
    job_id = job_with(gateway, ada, a_png=PNG)
    assert ada.get(f"/outputs/{job_id}/a.png?format=base64").json == {
        "filename": "a.png",
        "contentType": "image/png",
        "size": len(PNG),
        "data": base64.b64encode(PNG).decode(),
    }


def test_a_large_file_as_base64_is_413(gateway: Gateway, ada: Caller) -> None:
    """The message names the list, whose `downloadUrl` works."""
    job_id = job_with(gateway, ada, a_bin=LARGE)
    response = ada.get(f"/outputs/{job_id}/a.bin?format=base64")
    assert (response.status, response.json["error"]) == (413, "PAYLOAD_TOO_LARGE")
    assert f"/outputs/{job_id}" in response.json["message"]
    assert "downloadUrl" in response.json["message"]


@pytest.mark.parametrize("form", ["", "hex", "BASE64"])
def test_an_unknown_format_is_400(gateway: Gateway, ada: Caller, form: str) -> None:
    """Only `format=base64` is valid."""
    response = ada.get(f"/outputs/{job_with(gateway, ada, a_png=PNG)}/a.png?format={form}")
    assert (response.status, response.json["error"]) == (400, "VALIDATION_ERROR")


@pytest.mark.parametrize(
    "name",
    [
        "b.png", "A.PNG", "a.png/", "a.png%00", "a.png%20", "./a.png", "../a.png", "..", "%2e%2e", "%2e%2e/a.png",
        "..%2fa.png", "..%2f..%2fetc%2fpasswd", "..%5ca.png", "/a.png", "%2fa.png", "//etc/passwd", "/etc/passwd",
        "C:%5ca.png", "x/../a.png", "%252e%252e", "a.png;x", "é.png", "%ff.png", "%F0%9F%A6%8A", "*", "%", "a%",
        "outputs/{id}/1/a.png", "1/a.png", "x" * 3000,
    ],
)  # fmt: skip
def test_an_unknown_file_name_is_404(aws_gateway: AwsGateway, ada: Caller, name: str) -> None:
    """A name is only compared with the job's outputs: an unknown one costs no S3 call."""
    job_id = job_with(aws_gateway, ada, a_png=PNG)
    with aws_calls(aws_gateway.clients) as calls:
        assert_no_output(ada.get(f"/outputs/{job_id}/{name.format(id=job_id)}"))
    assert not [call for call in calls if call.startswith("s3")]


def test_an_empty_name_is_404_or_the_list(gateway: Gateway, ada: Caller) -> None:
    """An empty file name is 404 or the list."""
    job_id = job_with(gateway, ada, a_png=PNG)
    response = ada.get(f"/outputs/{job_id}/")
    assert response.status == 404 or response.json["jobId"] == job_id


def test_a_file_of_another_job_is_404(gateway: Gateway, ada: Caller) -> None:
    """The outputs of another job cannot be reached, even of the same owner."""
    one, other = job_with(gateway, ada, a_png=b"1"), job_with(gateway, ada, b_png=b"2")
    for name in ("b.png", quote(f"../../{other}/1/b.png", safe=""), f"../../{other}/1/b.png"):
        assert_no_output(ada.get(f"/outputs/{one}/{name}"))


def test_an_expired_file_is_404(aws_gateway: AwsGateway, ada: Caller) -> None:
    """The record can outlive the file for a short time."""
    job_id = job_with(aws_gateway, ada, a_png=PNG)
    aws_gateway.clients.s3.delete_object(
        Bucket=aws_gateway.wiring.settings.bucket_name, Key=f"outputs/{job_id}/1/a.png"
    )
    assert_no_output(ada.get(f"/outputs/{job_id}/a.png"))
    assert_no_output(ada.get(f"/outputs/{job_id}/a.png?format=base64"))


def test_a_warm_function_makes_few_calls(aws_gateway: AwsGateway, ada: Caller) -> None:
    """The list costs two calls and a file three, including the rate limit; presigning URLs costs none."""
    job_id = job_with(aws_gateway, ada, a_png=PNG)
    ada.get(f"/outputs/{job_id}")
    with aws_calls(aws_gateway.clients) as calls:
        ada.get(f"/outputs/{job_id}")
        ada.get(f"/outputs/{job_id}/a.png")
    assert calls == ["dynamodb.UpdateItem", "dynamodb.GetItem"] * 2 + ["s3.GetObject"]

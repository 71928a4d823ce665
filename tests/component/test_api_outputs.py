"""`/outputs`: a job's files, and nothing else."""

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

PICTURE = b"\x89PNG\r\n\x1a\n\x00\xff"
LARGE = b"x" * (MAX_DIRECT_DOWNLOAD_BYTES + 1)


def job_with(gateway: Gateway, caller: Caller, **files: bytes) -> str:
    """Run a job that leaves these files (`a_png` is a.png); return its id."""
    job_id: str = post(caller).json["jobId"]
    run(gateway, job_id, {name.replace("_", "."): content for name, content in files.items()})
    return job_id


def fetched(url: str, **headers: str) -> requests.Response:
    """GET a URL as anybody would, without following it further."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, headers=headers, timeout=5, allow_redirects=False)


def assert_no_output(response: Response) -> None:
    """Check that this is the contract's 404."""
    assert (response.status, response.json["error"]) == (404, "OUTPUT_NOT_FOUND")


def test_the_files_are_those_of_the_job(gateway: Gateway, ada: Caller) -> None:
    """The list has the same objects as the job, in their order; none before the job has any."""
    queued = post(ada).json["jobId"]
    assert ada.get(f"/outputs/{queued}").json == {"jobId": queued, "files": []}
    job_id = job_with(gateway, ada, b_png=b"b", a_mp4=b"a")
    response = ada.get(f"/outputs/{job_id}").json
    assert response["jobId"] == job_id
    assert [file["filename"] for file in response["files"]] == ["b.png", "a.mp4"]

    def lasting(file: dict[str, object]) -> dict[str, object]:
        return {name: value for name, value in file.items() if not name.startswith("downloadUrl")}

    of_job = ada.get(f"/jobs/{job_id}").json["outputs"]
    assert [lasting(file) for file in response["files"]] == [lasting(file) for file in of_job]


def test_every_file_has_urls_that_work(aws_gateway: AwsGateway, ada: Caller) -> None:
    """`url` with the key, `downloadUrl` as it stands, ranges too."""
    job_id = post(ada).json["jobId"]
    names = ["ü b+c&d%20e.png", "a#b?.txt", "日本.mp4", "[1] (2) 'x'.png", "sub/dir.png", "%2e%2e.png"]
    run(aws_gateway, job_id, {name: name.encode() for name in names})
    for file in ada.get(f"/outputs/{job_id}").json["files"]:
        content = file["filename"].encode()
        assert ada.get(file["url"]).body == content
        assert fetched(file["downloadUrl"]).content == content
        part = fetched(file["downloadUrl"], Range="bytes=1-2")
        assert (part.status_code, part.content) == (206, content[1:3])


def test_a_file_comes_as_it_is(gateway: Gateway, ada: Caller) -> None:
    """Bytes, type, disposition and entity tag; nothing in it may run as a page of the API."""
    job_id = job_with(gateway, ada, a_png=PICTURE)
    response = ada.get(f"/outputs/{job_id}/a.png")
    assert (response.status, response.body) == (200, PICTURE)
    assert response.headers["content-type"] == "image/png"
    assert response.headers["content-disposition"].startswith('inline; filename="a.png"')
    assert response.headers["etag"] == f'"{hashlib.sha256(PICTURE).hexdigest()}"'
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in response.headers["content-security-policy"]
    assert response.headers["x-correlation-id"]


def test_a_text_file_is_saved_and_an_empty_file_is_a_file(gateway: Gateway, ada: Caller) -> None:
    """Text, even of another alphabet, and nothing at all come as they are."""
    job_id = job_with(gateway, ada, a_html="<b>ü".encode(), b_png=b"")
    page = ada.get(f"/outputs/{job_id}/a.html")
    assert page.body == "<b>ü".encode()
    assert page.headers["content-disposition"].startswith("attachment;")
    assert (ada.get(f"/outputs/{job_id}/b.png").status, ada.get(f"/outputs/{job_id}/b.png").body) == (200, b"")


def test_a_file_that_is_there_already_is_not_sent_again(aws_gateway: AwsGateway, ada: Caller) -> None:
    """Whoever names its ETag is told so, without a look into the bucket; any other gets the file."""
    job_id = job_with(aws_gateway, ada, a_png=PICTURE)
    path = f"/outputs/{job_id}/a.png"
    tag = ada.get(path).headers["etag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        with aws_calls(aws_gateway.clients) as calls:
            response = ada.get(path, {"If-None-Match": given})
        assert (response.status, response.body, response.headers["etag"]) == (304, b"", tag)
        assert "s3.GetObject" not in calls
    for given in ('"other"', tag.strip('"'), ""):
        assert ada.get(path, {"If-None-Match": given}).body == PICTURE
    assert ada.get(f"{path}?format=base64", {"If-None-Match": tag}).status == 200


def test_the_largest_direct_answer_fits_lambda(gateway: Gateway, ada: Caller) -> None:
    """Four million bytes come directly, in both forms; more than Lambda carries would have failed."""
    job_id = job_with(gateway, ada, a_bin=LARGE[1:])
    assert ada.get(f"/outputs/{job_id}/a.bin").body == LARGE[1:]
    assert (
        len(base64.b64decode(ada.get(f"/outputs/{job_id}/a.bin?format=base64").json["data"]))
        == MAX_DIRECT_DOWNLOAD_BYTES
    )


def test_a_large_file_is_a_redirect(aws_gateway: AwsGateway, ada: Caller) -> None:
    """What does not fit is answered with a URL that anybody can read, and is not read meanwhile."""
    job_id = job_with(aws_gateway, ada, a_bin=LARGE)
    with aws_calls(aws_gateway.clients) as calls:
        response = ada.get(f"/outputs/{job_id}/a.bin")
    assert (response.status, response.body) == (302, b"")
    assert "s3.GetObject" not in calls
    assert fetched(response.headers["location"]).content == LARGE


def test_a_file_as_base64(gateway: Gateway, ada: Caller) -> None:
    """The contract's JSON form."""
    job_id = job_with(gateway, ada, a_png=PICTURE)
    assert ada.get(f"/outputs/{job_id}/a.png?format=base64").json == {
        "filename": "a.png",
        "contentType": "image/png",
        "size": len(PICTURE),
        "data": base64.b64encode(PICTURE).decode(),
    }


def test_a_large_file_as_base64_is_413(gateway: Gateway, ada: Caller) -> None:
    """The answer names where to look for a URL that works."""
    job_id = job_with(gateway, ada, a_bin=LARGE)
    response = ada.get(f"/outputs/{job_id}/a.bin?format=base64")
    assert (response.status, response.json["error"]) == (413, "PAYLOAD_TOO_LARGE")
    assert f"/outputs/{job_id}" in response.json["message"]
    assert "downloadUrl" in response.json["message"]


@pytest.mark.parametrize("form", ["", "hex", "BASE64"])
def test_another_form_is_400(gateway: Gateway, ada: Caller, form: str) -> None:
    """Only base64 is known."""
    response = ada.get(f"/outputs/{job_with(gateway, ada, a_png=PICTURE)}/a.png?format={form}")
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
def test_a_name_that_is_no_output_is_404(aws_gateway: AwsGateway, ada: Caller, name: str) -> None:
    """Whatever a name contains, it is only ever compared; the store is not asked."""
    job_id = job_with(aws_gateway, ada, a_png=PICTURE)
    with aws_calls(aws_gateway.clients) as calls:
        assert_no_output(ada.get(f"/outputs/{job_id}/{name.format(id=job_id)}"))
    assert not [call for call in calls if call.startswith("s3")]


def test_an_empty_name_is_404_or_the_list(gateway: Gateway, ada: Caller) -> None:
    """Nothing after the slash names no file."""
    job_id = job_with(gateway, ada, a_png=PICTURE)
    response = ada.get(f"/outputs/{job_id}/")
    assert response.status == 404 or response.json["jobId"] == job_id


def test_a_file_of_another_job_is_404(gateway: Gateway, ada: Caller) -> None:
    """A job has its own files only, even of the same owner."""
    one, other = job_with(gateway, ada, a_png=b"1"), job_with(gateway, ada, b_png=b"2")
    for name in ("b.png", quote(f"../../{other}/1/b.png", safe=""), f"../../{other}/1/b.png"):
        assert_no_output(ada.get(f"/outputs/{one}/{name}"))


def test_a_file_that_has_expired_is_404(aws_gateway: AwsGateway, ada: Caller) -> None:
    """The record may outlive the file by a little."""
    job_id = job_with(aws_gateway, ada, a_png=PICTURE)
    aws_gateway.clients.s3.delete_object(
        Bucket=aws_gateway.wiring.settings.bucket_name, Key=f"outputs/{job_id}/1/a.png"
    )
    assert_no_output(ada.get(f"/outputs/{job_id}/a.png"))
    assert_no_output(ada.get(f"/outputs/{job_id}/a.png?format=base64"))


def test_a_warm_function_makes_few_calls(aws_gateway: AwsGateway, ada: Caller) -> None:
    """The list takes two calls, a file three, the count of the request included: URLs are signed without any."""
    job_id = job_with(aws_gateway, ada, a_png=PICTURE)
    ada.get(f"/outputs/{job_id}")
    with aws_calls(aws_gateway.clients) as calls:
        ada.get(f"/outputs/{job_id}")
        ada.get(f"/outputs/{job_id}/a.png")
    assert calls == ["dynamodb.UpdateItem", "dynamodb.GetItem"] * 2 + ["s3.GetObject"]

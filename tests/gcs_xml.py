"""Writes of Google's XML interface before a server of its JSON interface alone (fake-gcs-server).

The library speaks XML. The server knows generations, and conditions on them where an upload comes as
multipart/related; so each write becomes one of these. Reads and listings it answers itself. Uploads in
parts are kept here until they are complete.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import uuid
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.http_front import Front, FrontHandler

_KEPT = ("etag", "last-modified", "x-goog-generation", "content-range", "content-type")


class Translator(Front):
    """The front of the server on `port`, at `port` of its own; `uploads` are those that are not complete."""

    def __init__(self, port: int) -> None:
        self.uploads: dict[str, dict[int, bytes]] = {}
        self._upstream = port
        self._lock = threading.Lock()
        super().__init__(self._handler())

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """What the server answers: status, headers and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self._upstream)
        connection.request(method, path, body, headers or {})
        reply = connection.getresponse()
        data = reply.read()
        connection.close()
        found = {name.lower(): value for name, value in reply.getheaders() if name.lower() in _KEPT}
        return reply.status, {**found, "content-length": reply.headers.get("Content-Length", "0")}, data

    def write(self, bucket: str, key: str, data: bytes, generation: str | None) -> tuple[int, dict[str, str]]:
        """Write an object; over the one of this generation alone where one is given ("0": where there is
        none)."""
        condition = "" if generation is None else f"&ifGenerationMatch={generation}"
        edge = uuid.uuid4().hex
        about = json.dumps({"name": key}).encode()
        body = (
            f"--{edge}\r\nContent-Type: application/json\r\n\r\n".encode()
            + about
            + f"\r\n--{edge}\r\nContent-Type: application/octet-stream\r\n\r\n".encode()
            + data
            + f"\r\n--{edge}--\r\n".encode()
        )
        status, _, said = self.ask(
            "POST",
            f"/upload/storage/v1/b/{bucket}/o?uploadType=multipart&name={quote(key, safe='')}{condition}",
            body,
            {"Content-Type": f"multipart/related; boundary={edge}"},
        )
        if status != 200:
            return status, {}
        known = json.loads(said)
        return 200, {"etag": f'"{known["etag"]}"', "x-goog-generation": str(known["generation"])}

    def part(self, upload: str, number: int, data: bytes) -> bool:
        with self._lock:
            if upload not in self.uploads:
                return False
            self.uploads[upload][number] = data
        return True

    def begin(self) -> str:
        upload = uuid.uuid4().hex
        with self._lock:
            self.uploads[upload] = {}
        return upload

    def end(self, upload: str) -> dict[int, bytes] | None:
        with self._lock:
            return self.uploads.pop(upload, None)

    def _handler(self) -> type[FrontHandler]:
        front = self

        class Handler(FrontHandler):
            def answer(self) -> None:
                body = self.body()
                asked = urlsplit(self.path)
                query = parse_qs(asked.query, keep_blank_values=True)
                bucket, _, key = unquote(asked.path).lstrip("/").partition("/")
                upload = query.get("uploadId", [""])[0]
                if self.command == "PUT" and upload:
                    known = front.part(upload, int(query["partNumber"][0]), body)
                    self._send(200 if known else 404, {"etag": f'"part-{query["partNumber"][0]}"'})
                elif self.command == "POST" and "uploads" in query:
                    said = f"<InitiateMultipartUploadResult><UploadId>{front.begin()}</UploadId>"
                    self._send(200, {}, said.encode() + b"</InitiateMultipartUploadResult>")
                elif self.command == "POST" and upload:
                    self._complete(bucket, key, upload, body)
                elif self.command == "DELETE" and upload:
                    self._send(404 if front.end(upload) is None else 204, {})
                elif self.command == "PUT":
                    wanted = self.headers.get("x-goog-if-generation-match")
                    self._send(*front.write(bucket, key, body, wanted))
                elif self.command == "DELETE":
                    path = f"/storage/v1/b/{bucket}/o/{quote(key, safe='')}"
                    status, _, said = front.ask("DELETE", path)
                    self._send(204 if status == 200 else status, {}, said if status >= 300 else b"")
                else:
                    passed = {"Range": self.headers["Range"]} if "Range" in self.headers else {}
                    self._send(*front.ask(self.command, self.path, body, passed))

            def _complete(self, bucket: str, key: str, upload: str, body: bytes) -> None:
                parts = front.end(upload)
                numbers = [int(number) for number in re.findall(rb"<PartNumber>(\d+)<", body)]
                if parts is None or sorted(parts) != numbers:
                    self._send(404, {})
                    return
                data = b"".join(parts[number] for number in numbers)
                status, headers = front.write(bucket, key, data, None)
                tag = headers.get("etag", "")
                said = f"<CompleteMultipartUploadResult><ETag>{tag}</ETag></CompleteMultipartUploadResult>"
                self._send(status, headers, said.encode())

            def _send(self, status: int, headers: dict[str, str], data: bytes = b"") -> None:
                length = int(headers.pop("content-length", "0"))
                self.send(status, headers, data, length if self.command == "HEAD" else len(data))

        return Handler

"""What object stores answer where they refuse, as errors that name the URL, the cause and the cure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from corpusmill.pipelines.contract.errors import UserError
from corpusmill.pipelines.storage.objects.urls import WEB, masked


class ObjectError(UserError):
    """An object that cannot be read or written as asked."""


class NoObjectError(ObjectError):
    """There is no object, or no bucket, of this name."""


class ChangedObjectError(ObjectError):
    """An object is no longer as it was listed."""


_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_REGION = re.compile(r"<Region>([\w-]+)</Region>|expecting (?:&apos;|')([\w-]+)(?:&apos;|')")
_MESSAGE = re.compile(r"<Message>([^<]+)</Message>")
_AGAIN = (408, 409, 425, 429)  # answers of the 4xx that another attempt may change
_REFUSED = 501  # the one of the 5xx that none changes
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")
_CREDENTIALS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "InvalidToken",
    "ExpiredToken",
    "AuthenticationFailed",
}
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint")
_AGAIN_LATER = "run the same command again later"
_REFUSAL = "the same request gets the same answer: correct the URL"
_REFUSAL_OF_STORE = (
    "the same request gets the same answer: correct what it names or, where it names nothing, the key, "
    "{server}, `storage.region`, or credentials that have expired"
)
_SERVER = {"s3": "`storage.endpoint`", "gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}  # names it
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")
_NO_TLS = re.compile(r"InvalidMessage\(")
_METADATA = ("169.254.169.254", "169.254.170.2", "metadata.google.internal")


@dataclass(frozen=True)
class Answer:
    """What an error of the library says: the server's status and code (0 and "" where none came), and a
    line of its words."""

    status: int
    code: str
    text: str
    detail: str
    message: str = ""  # ": " and what the server says in words, or nothing

    @classmethod
    def of(cls, error: BaseException) -> Answer:
        whole = str(error)
        text, _, detail = whole.partition("Debug source:")
        status, code = _STATUS.search(text), _CODE.search(text)
        line = " ".join(re.sub(r"<[^>]*>", " ", text).split())
        words = _MESSAGE.search(text)
        said = ": " + masked(" ".join(words[1].split()))[:200] if words else ""
        return cls(int(status[1]) if status else 0, code[1] if code else "", masked(line)[:300], detail, said)

    @property
    def passing(self) -> bool:
        """Whether another attempt may fare better."""
        if self.status:  # S3 calls a body that came too slowly a 400
            late = self.code == "RequestTimeout"
            return late or (self.status >= 500 and self.status != _REFUSED) or self.status in _AGAIN
        if _CERTIFICATE.search(self.detail) or _NO_TLS.search(self.detail):
            return False
        return not self.elsewhere and not any(host in self.text for host in _METADATA)

    @property
    def elsewhere(self) -> bool:
        """Whether the server says that another one has the bucket, in S3 one of another region."""
        return self.code in _ELSEWHERE or "redirect without LOCATION" in self.text


def may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed when it is sent again."""
    from obstore import exceptions

    if isinstance(error, _CutAnswerError):
        return True
    return type(error) is exceptions.GenericError and Answer.of(error).passing


class _CutAnswerError(Exception):
    """A body of another length than was asked for."""


def cut_answer(wanted: int, came: int) -> Exception:
    """The error for a body that ended early; another attempt is made."""
    return _CutAnswerError(f"{came} bytes came of {wanted}")


def told(url: str, error: BaseException, tries: int) -> ObjectError:
    """The error for the user. `tries`: how many requests were sent."""
    answer, url = Answer.of(error), masked(url)
    scheme, bucket = url.split("://")[0], url.split("://")[-1].split("/")[0]
    web = scheme in WEB
    kind, server = "container" if scheme == "az" else "bucket", _SERVER.get(scheme, "the URL")
    if answer.code in _NO_BUCKET:
        return NoObjectError(f"{url}: there is no {kind} {bucket}; correct its name, or {server}")
    region = _REGION.search(str(error))
    if answer.elsewhere and not web:
        named = next((name for name in region.groups() if name), None) if region else None
        place = f"in the region {named}" if named else "in another region"
        return ObjectError(f"{url}: the bucket {bucket} lies {place}; set `storage.region` to it")
    if isinstance(error, FileNotFoundError) or answer.status == 404:
        cure = "correct the URL" if web else f"correct the key or the {kind}, or make the object first"
        return NoObjectError(f"{url}: there is no such object; {cure}")
    if answer.code in _CREDENTIALS or answer.status == 401:
        why = answer.code or "401 Unauthorized"
        return ObjectError(f"{url}: the credentials are not accepted ({why}); renew them in the environment")
    if answer.code == "RequestTimeTooSkewed":
        return ObjectError(f"{url}: this machine's clock differs from the server's; set it right")
    if answer.status == 403:
        cure = (
            "the server gives it to nobody without a login"
            if web
            else (
                f"allow these credentials to list and read, and for runs to write, the {kind} {bucket}, "
                "or use others; for public data set `storage.credentials: none`"
            )
        )
        return ObjectError(f"{url}: access is denied; {cure}")
    if answer.status == 412:
        return ChangedObjectError(f"{url} changed while the run was on; run the same command again")
    if any(host in answer.text for host in _METADATA):
        return ObjectError(
            f"{url}: this machine's cloud gives no credentials; give the machine a role, or set "
            "`storage.credentials: environment`"
        )
    return _unanswered(url, answer, tries, scheme)


def _unanswered(url: str, answer: Answer, tries: int, scheme: str) -> ObjectError:
    web, server = scheme in WEB, _SERVER.get(scheme)
    named = f"the URL or {server}" if server else "the URL"
    certificate = _CERTIFICATE.search(answer.detail)
    if certificate is not None:
        variables = "SSL_CERT_FILE or AWS_CA_BUNDLE" if scheme == "s3" else "SSL_CERT_FILE"
        return ObjectError(
            f"{url}: the server's certificate is not accepted ({certificate[1]}); name the file of who "
            f"issued it by {variables}, or correct {named}"
        )
    if _NO_TLS.search(answer.detail):
        return ObjectError(f"{url}: the server answers without encryption (TLS); correct {named}")
    if "Range request not supported" in answer.text:
        return ObjectError(f"{url}: the server gives no parts of files; fetch the file, and name the copy")
    if "empty path segment" in answer.text:
        return ObjectError(f"{url}: a key there has an empty part (`//`); rename the object, or move it away")
    tried = f" ({tries} attempts)" if tries > 1 else ""
    if "dns error" in answer.detail or "failed to lookup address" in answer.detail:
        cause, cure = "its host has no address", f"correct {named}, or the network"
    elif "kind: Connect" in answer.detail:
        cause, cure = "no connection to its host", f"correct {named}, or the network"
    elif "kind: Timeout" in answer.detail:
        cause, cure = "no whole answer in time", "set `storage.timeout_s` higher, or mend the network"
    elif answer.status:
        code = f" {answer.code}" if answer.code else ""
        cause = f"the server answers {answer.status}{code}{answer.message}"
        refusal = _REFUSAL if web else _REFUSAL_OF_STORE.format(server=server)
        cure = _AGAIN_LATER if answer.passing else refusal
    else:
        cause, cure = answer.text, "run the same command again, and correct what it names if it stays"
    return ObjectError(f"{url}: {cause}{tried}; {cure}")

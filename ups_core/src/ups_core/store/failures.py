"""What a store's client and the operating system report, in the words of :mod:`ups_core.errors`.

This is the one place that knows how obstore phrases a failure. It maps most of them to one
``GenericError`` whose text holds what is needed: the HTTP status and S3's ``<Code>``, or the
errno behind "(os error N)".
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from ups_core.errors import CredentialsInvalid, NotFound, StorageUnavailable, UpsError


class BucketMissing(NotFound):
    """The bucket itself is not there: unlike a missing file, never an answer to "is it there?"."""


_REFUSED = {
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidToken",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
}
_WRONG_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect"}
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
#: Where the S3 client looks for an identity when the environment names none.
_IDENTITY_SERVICES = ("169.254.169.254", "169.254.170.2", "AssumeRoleWithWebIdentity")


@contextmanager
def translating(url: str, *, write: bool = False) -> Iterator[None]:
    """Inside, every failure of storage at ``url`` becomes an :class:`UpsError`."""
    try:
        yield
    except (BaseError, OSError) as error:
        raise translate(error, url, write=write) from error


def translate(error: Exception, url: str, *, write: bool) -> UpsError:
    """CredentialsInvalid, NotFound or StorageUnavailable, with what was found and one way out."""
    text = str(error)
    if url.startswith("s3://"):
        return _translate_s3(error, text, url)
    return _translate_file(error, text, url, write=write)


def _translate_s3(error: Exception, text: str, url: str) -> UpsError:
    bucket = url.removeprefix("s3://").partition("/")[0]
    code, status = _search(r"<Code>(\w+)</Code>", text), _search(r"status code: (\d{3})", text)
    message = _search(r"<Message>(.*?)</Message>", text)
    found = ": ".join(filter(None, (code, message))) or _first_line(text)
    if any(service in text for service in _IDENTITY_SERVICES):
        return CredentialsInvalid(
            "no credentials for the S3 store",
            where=url,
            found=_first_line(text),
            expected="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a workload identity",
            fix='eval "$(aws configure export-credentials --format env)"',
        )
    refused = isinstance(error, (PermissionDeniedError, UnauthenticatedError)) or status in {"401", "403"}
    if code in _REFUSED or refused:
        return CredentialsInvalid(
            "the S3 store refused the credentials",
            where=url,
            found=found,
            expected=f"credentials that may list, read and write s3://{bucket}",
            fix='eval "$(aws configure export-credentials --format env)"',
        )
    if code == "NoSuchBucket":
        return BucketMissing(
            "the bucket does not exist",
            where=url,
            found=found,
            expected=f"a bucket named {bucket}",
            fix=f"create the bucket: aws s3 mb s3://{bucket}",
        )
    if isinstance(error, FileNotFoundError) or status == "404":
        return NotFound(
            "not in the store", where=url, found="nothing under this name", fix=f"aws s3 ls {url}"
        )
    if code in _WRONG_REGION:
        return StorageUnavailable(
            "the bucket is in another region",
            where=url,
            found=found,
            fix=f"export AWS_REGION=$(aws s3api get-bucket-location --bucket {bucket} --output text)",
        )
    if certificate := _search(r"InvalidCertificate\(\s*(\w+)", text):
        return StorageUnavailable(
            "the S3 server's certificate is not trusted",
            where=url,
            found=f"{certificate}: {_first_line(text)}",
            expected="a certificate of a known authority",
            fix="export AWS_CA_BUNDLE=/path/of/the/authority.pem",
        )
    cause = _search(r'(?:message|error): "([^"]+)"', text)
    return StorageUnavailable(
        "the S3 store does not answer",
        where=url,
        found=found if code else ": ".join(filter(None, (cause, found))),
        expected="an S3 server at AWS_ENDPOINT_URL, or AWS where it is unset",
        fix="start it or correct AWS_ENDPOINT_URL, then run the same command again",
    )


def _translate_file(error: Exception, text: str, url: str, *, write: bool) -> UpsError:
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (digits := _search(r"\(os error (\d+)\)", text)):
        number = int(digits)
    found = os.strerror(number) if number else _first_line(text)
    if number in _FULL:
        return StorageUnavailable(
            "the disk is full",
            where=url,
            found=found,
            expected="space for this file",
            fix="ups gc --apply",
        )
    # On files a refusal to write is a store that is read-only for this user; nobody was misnamed.
    if number == errno.EROFS or (write and number in {errno.EACCES, errno.EPERM}):
        return StorageUnavailable(
            "the store is read-only",
            where=url,
            found=found,
            expected="a folder this user may write",
            fix="--store file:///a/folder/you/may/write",
        )
    if number in {errno.EACCES, errno.EPERM} or isinstance(error, PermissionDeniedError):
        return CredentialsInvalid(
            "not allowed to read the store",
            where=url,
            found=found,
            expected="a folder this user may read",
            fix=f"chmod -R u+rX {url.removeprefix('file://')}",
        )
    if isinstance(error, FileNotFoundError) or number == errno.ENOENT:
        return NotFound("not in the store", where=url, found="nothing under this name")
    return StorageUnavailable("the store cannot be used", where=url, found=found)


def _search(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.DOTALL)
    return match.group(1) if match else None


def _first_line(text: str) -> str:
    return text.partition("\n")[0].strip()[:300]

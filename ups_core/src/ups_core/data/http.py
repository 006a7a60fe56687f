"""Downloads that go on where they broke off.

When a connection is cut, the next request asks for the rest (``Range``), and only if the file is
still the same one (``If-Range`` with its ETag); a server that answers with the whole file makes us
start again. Tries are bounded and back off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import stamina

from ups_core.errors import CredentialsInvalid, NotFound, StorageUnavailable

TRIES = 6
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 20.0
TIMEOUT_SECONDS = 60.0
#: Answers after which trying again can help.
PASSING = frozenset({408, 416, 425, 429, 500, 502, 503, 504})


class CutOff(Exception):
    """The connection ended, or the server was busy: trying again can help."""


def http_head(address: str) -> tuple[int | None, str | None]:
    """(size, ETag) of a file on a web server, each None where the server does not tell.

    Asks with GET and does not read on: servers of signed addresses refuse HEAD.
    """
    with _client() as client, _retrying(address):
        for attempt in _attempts():
            with attempt, _answer(client, address, {}) as answer:
                return _length(answer), answer.headers.get("etag")
    raise AssertionError("attempts end by returning or raising")


def download(
    address: str, part: Path, etag: str | None = None, advance: Callable[[int], None] = lambda _: None
) -> str | None:
    """Download ``address`` into the file ``part``. Returns the ETag of what came.

    ``etag`` is the version wanted, if known. ``advance(bytes)`` counts what arrives, negative where
    bytes are thrown away. Raises NotFound, CredentialsInvalid, or StorageUnavailable after the last try.
    """
    part.unlink(missing_ok=True)
    version = etag
    with _client() as client, _retrying(address):
        for attempt in _attempts():
            with attempt:
                version = _receive(client, address, part, version, advance)
    return version


def _receive(
    client: httpx.Client, address: str, part: Path, version: str | None, advance: Callable[[int], None]
) -> str | None:
    """One try: the rest of the file if it is still ``version``, else all of it."""
    here = part.stat().st_size if part.exists() else 0
    # A weak ETag (W/...) names the meaning of a file, not its bytes: no ground to join two halves on.
    resumable = here > 0 and version is not None and not version.startswith("W/")
    headers = {"Range": f"bytes={here}-", "If-Range": str(version)} if resumable else {}
    try:
        with _answer(client, address, headers) as answer:
            continues = answer.status_code == httpx.codes.PARTIAL_CONTENT
            if here and not continues:
                advance(-here)
                here = 0
            length = _length(answer)
            with part.open("ab" if continues else "wb") as writer:
                for block in answer.iter_raw():  # in blocks of a given size, a cut would lose the last one
                    writer.write(block)
                    advance(len(block))
            if length is not None and part.stat().st_size != here + length:
                raise CutOff(f"{part.stat().st_size} of {here + length} bytes")
            return answer.headers.get("etag")
    except CutOff as cut:
        if "416" in str(cut):  # the file has become shorter than what we hold of it
            advance(-here)
            part.unlink(missing_ok=True)
        raise


@contextmanager
def _answer(client: httpx.Client, address: str, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """A streamed answer with status 200 or 206; every other is an error, or a reason to try again."""
    try:
        with client.stream("GET", address, headers=headers) as answer:
            if answer.status_code in PASSING:
                raise CutOff(f"status {answer.status_code}")
            if answer.status_code in (401, 403):
                raise CredentialsInvalid(
                    "the server refuses the download",
                    where=address,
                    found=f"status {answer.status_code}",
                    expected="a file that may be read",
                    fix="use an address that needs no login, or download the file and set spec.source.uri",
                )
            if answer.status_code not in (200, 206):
                raise NotFound(
                    "the server does not have the file",
                    where=address,
                    found=f"status {answer.status_code}",
                    expected="status 200",
                    fix="correct the address in spec.source",
                )
            yield answer
    except httpx.TransportError as error:
        raise CutOff(str(error) or type(error).__name__) from error
    except (httpx.InvalidURL, httpx.TooManyRedirects) as error:
        raise NotFound(
            "not an address", where=address, found=error, fix="correct it in spec.source"
        ) from error


def _length(answer: httpx.Response) -> int | None:
    length = answer.headers.get("content-length")
    return int(length) if length else None


def _client() -> httpx.Client:
    # Compressed on the way, a file could neither be resumed nor compared with its length.
    return httpx.Client(
        follow_redirects=True, timeout=TIMEOUT_SECONDS, headers={"Accept-Encoding": "identity"}
    )


def _attempts() -> Iterable[AbstractContextManager[object]]:
    return stamina.retry_context(
        on=CutOff,
        attempts=TRIES,
        timeout=None,
        wait_initial=FIRST_WAIT_SECONDS,
        wait_max=LONGEST_WAIT_SECONDS,
        wait_jitter=FIRST_WAIT_SECONDS,  # spreads clients that were cut off together
    )


@contextmanager
def _retrying(address: str) -> Iterator[None]:
    try:
        yield
    except CutOff as cut:
        raise StorageUnavailable(
            f"the download failed {TRIES} times",
            where=address,
            found=cut,
            expected="an answer",
            fix="run again when the server can be reached",
        ) from cut

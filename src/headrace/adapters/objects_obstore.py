"""Object stores (S3, Google Cloud, Azure) and plain HTTP servers, through obstore."""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from headrace.adapters.durable import pour
from headrace.adapters.objects_marks import mark_of
from headrace.errors import HeadraceError, did_you_mean
from headrace.ports.objects import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

T = TypeVar("T")

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss", "http", "https")
_CLIENT = frozenset(
    {"allow_http", "allow_invalid_certificates", "connect_timeout", "timeout", "proxy_url", "proxy_ca_certificate"}
    | {"user_agent", "http1_only", "http2_only", "pool_idle_timeout"}
)
"""The options of the connection; the others are those of the store."""
_TRIES, _TIMEOUT, _CONNECT_TIMEOUT = "retries", "30s", "5s"
_RETRIES = 3
_TRIED = "max_retries"
"""Stands in the errors of the library after its last try."""
_LONGEST = 2.0
_CHUNK = 8 * 2**20
_STATUS = re.compile(r"status code: (\d{3})")
_METADATA = "169.254.169.254"
"""Where a machine of a cloud asks for its own credentials: the last resort when none are given."""


class ObstoreObjects:
    """See `headrace.ports.objects.Objects`. `options` are those of `[storage]` for this root."""

    def __init__(self, root: str, options: Mapping[str, Any]) -> None:
        from obstore.store import from_url

        self._root = root
        self._http = root.startswith(("http://", "https://"))
        given = dict(options)
        self._retries = retries = given.pop(_TRIES, _RETRIES)
        client = {name: given.pop(name) for name in list(given) if name in _CLIENT}
        client = {"timeout": _TIMEOUT, "connect_timeout": _CONNECT_TIMEOUT, **client}
        if root.startswith("http://") or str(given.get("endpoint", "")).startswith("http://"):
            client["allow_http"] = True
        retry = {"max_retries": retries, "retry_timeout": timedelta(minutes=3)}
        opened: Any = from_url  # its overloads know each option of each store
        more = {} if self._http else {"config": given}
        with _told(root):
            self._store: Any = opened(root, client_options=client, retry_config=retry, **more)

    def find(self, prefix: str) -> Iterator[Found]:
        """See `Objects`. What is listed below a prefix is listed by whole folders."""
        import obstore

        if self._http:
            raise HeadraceError("HR365", f"{self._root} is asked for all files of a pattern")
        folder = prefix.rpartition("/")[0]

        def listed() -> list[Found]:
            pages = obstore.list(self._store, prefix=folder or None, chunk_size=1000)
            found = (meta for page in pages for meta in page)
            return [Found(meta["path"], meta["size"], mark_of(meta["e_tag"], meta["last_modified"])) for meta in found]

        with _told(self._root):
            yield from self._patiently(listed)

    def look(self, key: str) -> Found | None:
        """See `Objects`."""
        import obstore

        try:
            with _told(self._root):
                meta = obstore.head(self._store, self._path(key))
        except FileNotFoundError:
            return None
        return Found(key, meta["size"], mark_of(meta["e_tag"], meta["last_modified"]))

    def fetch(self, found: Found, target: Path) -> None:
        """See `Objects`."""
        import obstore

        begun: list[str] = []  # the ETags of answers that the library goes on with

        def fetched() -> str:
            answer = obstore.get(self._store, self._path(found.key))
            begun.extend(filter(None, [answer.meta["e_tag"]]))
            pour(answer.stream(min_chunk_size=_CHUNK), target)
            return mark_of(answer.meta["e_tag"], answer.meta["last_modified"])

        try:
            with _told(self._root):
                mark = self._patiently(fetched, lambda: bool(begun))
        except FileNotFoundError:
            raise HeadraceError("HR302", f"{self._root}/{found.key} cannot be read: it is gone") from None
        if (found.mark and mark and mark != found.mark) or (found.size >= 0 and target.stat().st_size != found.size):
            raise HeadraceError("HR312", f"{self._root}/{found.key} changed after it was observed")

    def _patiently(self, read: Callable[[], T], resumed: Callable[[], bool] = lambda: False) -> T:
        """What is read, from the beginning where the answer broke off.

        The library tries again until an answer begins, and goes on with the rest of an object that has an ETag: what
        breaks off all the same is not for another try.
        """
        from obstore import exceptions

        for tried in range(self._retries):
            try:
                return read()
            except exceptions.GenericError as error:
                if _TRIED in str(error) or resumed():
                    raise
                Event().wait(min(_LONGEST, 0.1 * 2**tried))
        return read()

    def _path(self, key: str) -> str:
        return quote(key) if self._http and "%" in key else key


@contextmanager
def _told(root: str) -> Iterator[None]:
    """What the library raises, with a code. An object that is missing is left to the caller."""
    from obstore import exceptions

    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" in str(error) or "ContainerNotFound" in str(error):
            raise HeadraceError("HR360", f"there is no {root}") from None
        raise
    except exceptions.UnknownConfigurationKeyError as error:
        wrong = re.search(r"'([^']*)'", str(error))
        known = sorted(_CLIENT | set(_KNOWN))
        fix = None if wrong is None else f"Correct it or take it out: {did_you_mean(wrong[1], known)}"
        raise HeadraceError("HR366", f"[storage] of {root}: {_first_line(error)}", fix=fix) from None
    except (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError) as error:
        raise HeadraceError("HR361", f"{root}: {_first_line(error)}") from None
    except (exceptions.BaseError, OSError, ValueError) as error:
        raise _coded(root, error) from None


_KNOWN = (
    *("endpoint", "region", "bucket", "access_key_id", "secret_access_key", "session_token", "skip_signature"),
    *("virtual_hosted_style_request", "service_account", "service_account_key", "account_name", "account_key"),
    *("sas_key", "client_id", "client_secret", "tenant_id", _TRIES),
)


def _coded(root: str, error: BaseException) -> HeadraceError:
    text = str(error)
    status = _STATUS.search(text)
    if "NoSuchBucket" in text or "ContainerNotFound" in text or (status and status[1] == "404"):
        return HeadraceError("HR360", f"there is no {root}")
    if _METADATA in text or (status and status[1] in ("401", "403")):
        return HeadraceError("HR361", f"{root}: {_first_line(error)}")
    return HeadraceError("HR362", f"{root}: {_first_line(error)}")


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__

"""The online store in a Redis server: one hash for each generation.

A generation is built under a name of its own and renamed when it is whole, which Redis does at once, so that a name
means a whole generation; one HMGET answers a look-up and sees one state. A field without a name holds how many entries
there are, and tells a generation without entries from one that is missing.

What Redis holds is as durable as the server is set up to make it (`appendonly yes`, `appendfsync always`, and a
`maxmemory-policy` of `noeviction`). A generation that it lost is HR470: nothing is answered from the rest of it.
"""

from __future__ import annotations

import re
import secrets
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urldefrag, urlsplit

from headrace.errors import HeadraceError
from headrace.ports.failpoints import failpoint
from headrace.ports.online import LONGEST_KEY, digest_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import redis

    from headrace.ports.online import Entry

_SCHEMES = ("redis", "rediss", "unix")
_BATCH = 2_000
_COUNT = b""
_PATIENCE = 5.0
"""Seconds that the server has for one answer."""

_NAMES = re.compile(r"[A-Za-z0-9._-]+")
_CLOSED_DISK = "MISCONF"
"""How Redis begins to say that it cannot write to its disk."""

_SWEPT = -1
_NAME = """
if redis.call("HEXISTS", KEYS[1], "") == 0 then return -1 end
local held = redis.call("HLEN", KEYS[1]) - 1
if held == tonumber(ARGV[1]) then
  redis.call("HSET", KEYS[1], "", ARGV[1])
  redis.call("RENAME", KEYS[1], KEYS[2])
end
return held
"""
"""Names a finished generation. Answers how many entries it has, -1 where a sweep took some of it."""


class RedisOnlineStore:
    """Generations of one project, named `headrace:NAME:generation:KEY`. See `headrace.ports.online.OnlineStore`.

    `address` is "redis://HOST:PORT/DATABASE#NAME". The name is asked for because garbage collection removes every
    generation of that name that this project does not need. Raises HR477 for an address that is none, HR478.
    """

    def __init__(self, address: str) -> None:
        plain, name = urldefrag(address)
        parts = urlsplit(plain)
        if parts.scheme not in _SCHEMES or not _NAMES.fullmatch(name):
            raise HeadraceError("HR477", f"online is {_without_password(address)!r}")
        self._address = plain
        self._shown = _without_password(plain)
        self._whole = f"headrace:{name}:generation:"
        self._half = f"headrace:{name}:filling:"
        self._client = _client(plain)

    def fill(self, generation: str, entries: Iterable[Entry]) -> int:
        """Write a generation. Raises HR472, HR473 when the server has no memory left, HR470 when it was swept."""
        with self._coded():
            count = self._count(generation)
            if count is not None:
                return count
            half = f"{self._half}{generation}:{secrets.token_hex(8)}"
            try:
                count = self._written(half, entries)
                failpoint("online.fill.before")
                self._name(half, generation, count)
                failpoint("online.fill.after")
            except Exception:
                self._forget(half)
                raise
            return count

    def complete(self, generation: str) -> bool:
        """Whether the generation has its name."""
        with self._coded():
            return self._count(generation) is not None

    def get(self, generation: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of the keys, by one command. Raises HR470 and HR472."""
        with self._coded():
            found = cast("list[bytes | None]", self._client.hmget(self._whole + generation, [_COUNT, *keys]))
        if found[0] is None:
            raise self._missing(generation)
        return found[1:]

    def entries(self, generation: str) -> Iterator[Entry]:
        """Every entry, piece by piece. Raises HR470 and HR472."""
        with self._coded():
            if self._count(generation) is None:
                raise self._missing(generation)
            told = {_COUNT}  # while Redis reorganises a hash, it may tell a field twice
            for key, value in self._client.hscan_iter(self._whole + generation, count=_BATCH):
                if key not in told:
                    told.add(key)
                    yield key, value

    def generations(self) -> Sequence[str]:
        """Every generation that has its name, sorted."""
        with self._coded():
            return sorted(self._names(self._whole))

    def size(self, generation: str) -> int:
        """Bytes of memory, as Redis estimates them."""
        with self._coded():
            return int(self._client.memory_usage(self._whole + generation, samples=100) or 0)

    def drop(self, generation: str) -> None:
        """Remove a generation at once; its memory is given back in the background."""
        with self._coded():
            self._client.unlink(self._whole + generation)

    def sweep(self) -> int:
        """Remove every half-filled generation; a fill that is at work notices and fails with HR470."""
        with self._coded():
            names = [self._half + name for name in self._names(self._half)]
            return sum(int(self._client.unlink(name)) for name in names)

    def verify(self, generation: str, digest: str) -> None:
        """Raise HR470 when the generation is missing, HR471 when it is not what was written."""
        if digest_of(self.entries(generation)) != digest:
            raise HeadraceError("HR471", f"generation {generation[:12]} at {self._shown} is not what was written")

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _count(self, generation: str) -> int | None:
        found = cast("bytes | None", self._client.hget(self._whole + generation, cast("str", _COUNT)))
        return None if found is None else int(found)

    def _written(self, half: str, entries: Iterable[Entry]) -> int:
        source = iter(entries)
        count = 0
        self._client.hset(half, cast("str", _COUNT), "0")
        while batch := list(islice(source, _BATCH)):
            for key, _ in batch:
                if not 0 < len(key) <= LONGEST_KEY:
                    message = f"a key of {len(key)} bytes"
                    raise ValueError(message)
            count += len(batch)
            self._client.hset(half, mapping=cast("Any", dict(batch)))
        return count

    def _name(self, half: str, generation: str, count: int) -> None:
        """Give a generation its name, at once, unless a sweep took a part of it or keys were not distinct."""
        held = self._client.eval(_NAME, 2, half, self._whole + generation, str(count))
        if held == _SWEPT:
            raise self._missing(generation)
        if held != count:
            message = f"{count} entries have {held} different keys"
            raise ValueError(message)

    def _forget(self, half: str) -> None:
        """Remove a half-filled generation; where the server cannot be reached any more, the next sweep does."""
        import redis

        with suppress(redis.RedisError):
            self._client.unlink(half)

    def _names(self, prefix: str) -> list[str]:
        found = self._client.scan_iter(match=prefix + "*", count=1_000)
        return [name.decode().removeprefix(prefix) for name in found]

    def _missing(self, generation: str) -> HeadraceError:
        return HeadraceError("HR470", f"there is no generation {generation[:12]} at {self._shown}")

    @contextmanager
    def _coded(self) -> Iterator[None]:
        """Give errors of the server, of the way to it and of the system their codes."""
        import redis

        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError, redis.exceptions.NoPermissionError) as error:
            raise HeadraceError("HR472", f"{self._shown}: {error}") from error
        except redis.RedisError as error:
            full = isinstance(error, redis.exceptions.OutOfMemoryError) or str(error).startswith(_CLOSED_DISK)
            raise HeadraceError("HR473" if full else "HR471", f"{self._shown}: {error}") from error
        except OSError as error:
            raise HeadraceError("HR473", f"{self._shown}: {error}") from error


def _client(address: str) -> redis.Redis:
    """A client with a pool of connections, which a forked process makes anew. It connects when it is used."""
    try:
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ImportError as error:
        raise HeadraceError("HR478", "the module redis is not installed") from error
    again = Retry(NoBackoff(), 1)  # a connection that the server closed while it was idle
    try:
        return redis.Redis.from_url(
            address, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry=again, decode_responses=False
        )
    except ValueError as error:
        raise HeadraceError("HR477", f"online is {_without_password(address)!r}: {error}") from error


def _without_password(address: str) -> str:
    """The address as it may be shown: whoever reads a log must not be able to log in."""
    return re.sub(r"(?<=://)([^/@]*):[^/@]*@", r"\1:***@", address)

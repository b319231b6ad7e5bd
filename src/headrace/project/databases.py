"""The databases that `headrace.toml` names: which reader stands behind each, and where its address comes from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from headrace.errors import HeadraceError, suggestion

if TYPE_CHECKING:
    from headrace.adapters.reading import Address
    from headrace.ports.reading import Reader
    from headrace.project.settings import Settings

_ENVIRONMENT = "env:"
_KINDS = {"postgresql": "PostgreSQL", "postgres": "PostgreSQL", "mariadb": "MariaDB", "mysql": "MariaDB"}


def open_reader(settings: Settings, name: str) -> Reader:
    """The reader of a database by its name. Nothing is connected yet.

    Raises:
        HeadraceError: HR340 for a name that is not set, HR349 for a kind of database that is not known, or whose driver
            is not installed.
    """
    from headrace.adapters.reading import Address

    url = _address(settings, name)
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite":
        from headrace.adapters.reading_sqlite import SqliteReader

        path = unquote(urlsplit(url).path) if rest.startswith("//") else rest
        return SqliteReader(Address(name, "SQLite", url), settings.folder / path)
    if scheme not in _KINDS:
        shown = scheme if rest else "no kind at all"
        raise HeadraceError("HR349", f"the address of the database {name!r} begins with {shown!r}")
    return _server(Address(name, _KINDS[scheme], url))


def _server(address: Address) -> Reader:
    try:
        if address.kind == "MariaDB":
            import pymysql  # noqa: F401 - to tell early that it is missing

            from headrace.adapters.reading_mariadb import MariadbReader

            return MariadbReader(address)
        import adbc_driver_postgresql  # noqa: F401 - the same
        import psycopg  # noqa: F401 - the same

        from headrace.adapters.reading_postgres import PostgresReader
    except ImportError as error:
        what = f"{address.where} needs {error.name}"
        raise HeadraceError("HR349", what, fix='Install it: pip install "headrace[databases]"') from error
    return PostgresReader(address)


def _address(settings: Settings, name: str) -> str:
    known = settings.databases
    if name not in known:
        hint = suggestion(name, known) if known else f'Add to headrace.toml: [databases], {name} = "postgresql://..."'
        raise HeadraceError("HR340", f"headrace.toml sets no database {name!r}", fix=hint)
    url = known[name]
    if not url.startswith(_ENVIRONMENT):
        return url
    variable = url.removeprefix(_ENVIRONMENT)
    found = os.environ.get(variable)
    if not found:
        what = f"the address of the database {name!r} is to stand in the variable {variable}, which is not set"
        raise HeadraceError("HR340", what, fix=f"Set {variable}, for every process of Headrace.")
    return found

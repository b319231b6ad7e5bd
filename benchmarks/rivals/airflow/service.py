"""Airflow's processes on a database of their own: API server, DAG processor and scheduler."""

from __future__ import annotations

import secrets
import shutil
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.support import postgres, venvs
from benchmarks.support.children import child, free_port, inherited, run, wait_for
from benchmarks.support.web import answers, call

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import psycopg

    from benchmarks.support.children import Child

_TIMEOUT = 180.0
_DAGS = ("warm_up", "chain", "fan_out", "tell")


@dataclass(frozen=True, slots=True)
class Airflow:
    """One that runs: its address, a token for it, a connection to its database, its scheduler."""

    url: str
    token: str
    database: psycopg.Connection[tuple[Any, ...]]
    scheduler: Child


@contextmanager
def running(home: Path, sizes: Mapping[str, str]) -> Iterator[Airflow]:
    """Airflow, ready to be triggered. `sizes` is what `flow.py` reads from its environment."""
    import psycopg

    binary = str(venvs.python("airflow").with_name("airflow"))
    url = f"http://127.0.0.1:{free_port()}"
    with ExitStack() as stack:
        address = stack.enter_context(postgres.server(home))
        env = {**_environment(home, address, url), **sizes}
        run([binary, "db", "migrate"], env, home / "migrate.log", _TIMEOUT)
        (home / "dags").mkdir()
        shutil.copy(venvs.RIVALS / "airflow" / "flow.py", home / "dags")
        port = url.rpartition(":")[2]
        web = stack.enter_context(
            child([binary, "api-server", "--host", "127.0.0.1", "--port", port], env, home / "api-server.log")
        )
        reader = stack.enter_context(child([binary, "dag-processor"], env, home / "dag-processor.log"))
        scheduler = stack.enter_context(child([binary, "scheduler", "--skip-serve-logs"], env, home / "scheduler.log"))
        wait_for("Airflow's API server", lambda: answers(f"{url}/auth/token"), web, _TIMEOUT)
        token = str(call(f"{url}/auth/token")["access_token"])
        wait_for(
            "Airflow's DAGs", lambda: all(answers(f"{url}/api/v2/dags/{dag}", token) for dag in _DAGS), reader, _TIMEOUT
        )
        database = stack.enter_context(psycopg.connect(address, autocommit=True))
        yield Airflow(url, token, database, scheduler)


def _environment(home: Path, address: str, url: str) -> dict[str, str]:
    """Nothing of the user's own settings, and nothing that reports home."""
    settings = {
        "API__BASE_URL": url,
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "CORE__DAGS_FOLDER": str(home / "dags"),
        "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "CORE__EXECUTOR": "LocalExecutor",
        "CORE__LOAD_EXAMPLES": "False",
        "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "DATABASE__SQL_ALCHEMY_CONN": address.replace("postgresql://", "postgresql+psycopg2://"),
        "LOGGING__LOGGING_LEVEL": "WARNING",
        "USAGE_DATA_COLLECTION__ENABLED": "False",
    }
    named = {f"AIRFLOW__{name}": value for name, value in settings.items()}
    return {**inherited("AIRFLOW"), "AIRFLOW_HOME": str(home), "NO_PROXY": "127.0.0.1", **named}

"""What a ledger has acknowledged is on the disk: it is there after the power was cut, from its first entry on."""

from __future__ import annotations

import signal
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.crash.powerloss.powerloss import Machine, Names
from tests.ledger.writers import open_address

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """
import os, signal, sys
from tests.ledger.writers import open_address
from headrace.ports.ledger import AddVersion
from headrace.testing.ledgers import version_of
address, first, count, end = sys.argv[1], *map(int, sys.argv[2:])
ledger = open_address(address)
for number in range(first, first + count):
    ledger.write(AddVersion(version_of(number)))
    print(number, flush=True)
if end:
    ledger.close()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("names", Names)
@pytest.mark.parametrize("closed", [False, True])
def test_what_was_acknowledged_survives_a_power_cut(tmp_path: Path, names: Names, closed: bool) -> None:
    root = tmp_path / "root"
    root.mkdir()
    machine = Machine(root, tmp_path / "shadow")
    address = str(root / "state" / "ledger.db")
    known = 0
    for count in (1, 5, 40):
        command = [sys.executable, "-c", SCRIPT, address, str(known), str(count), str(int(closed))]
        done = machine.run(command)
        assert done.returncode == -signal.SIGKILL, done.stderr
        known += len(done.stdout.split())
        machine.cut_power(names)
    assert known == 46
    with closing(open_address(address)) as ledger:
        assert [version.key for version in ledger.versions()] == [f"table-{number}" for number in range(known)]
        assert ledger.verify() == known


def test_a_backup_survives_a_power_cut(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    address, target = str(tmp_path / "ledger.db"), root / "backup.gz"
    machine = Machine(root, tmp_path / "shadow")
    script = SCRIPT.replace("if end", "from pathlib import Path\nledger.backup(Path(sys.argv[5]))\nif end")
    script = script.replace("sys.argv[2:]", "sys.argv[2:5]")
    done = machine.run([sys.executable, "-c", script, address, "0", "3", "1", str(target)])
    assert done.returncode == -signal.SIGKILL, done.stderr
    whole = target.read_bytes()
    machine.cut_power()
    assert target.read_bytes() == whole

"""Ctrl-C where it must not cut something in two, and where it gets lost."""

from __future__ import annotations

import itertools
import signal
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from headrace.adapters.clocks import SimulatedClock
from headrace.adapters.sqlite import SqliteDatabase
from headrace.ledger.ledger import SqlLedger
from headrace.ports.interrupts import Noticed, Unbroken
from headrace.ports.ledger import SendSignal

if TYPE_CHECKING:
    from pathlib import Path
    from types import FrameType

    from _typeshed import TraceFunction

HANDS = ("headrace/ledger/", "headrace/adapters/", "headrace/ports/", "contextlib.py", "threading.py")
"""The files in which locks are taken and given back."""


def press() -> None:
    signal.raise_signal(signal.SIGINT)


class Pressing:
    """Presses Ctrl-C at one of the places where Python looks for signals: the one of this number."""

    def __init__(self, step: int) -> None:
        self._step = step
        self.passed = 0

    def start(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def stop(self) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, _: object) -> TraceFunction | None:
        if not any(each in frame.f_code.co_filename for each in HANDS):
            return None
        if event in ("call", "return"):
            self.passed += 1
            if self.passed == self._step:
                press()
        return self._trace


def held(*, presses: int = 1, error: str = "") -> list[str]:
    """What was done after Ctrl-C in a block that is not to be broken, and after Ctrl-C in one within it."""
    done = []
    try:
        with Unbroken():
            with Unbroken():
                for _ in range(presses):
                    press()
                done.append("inner")
            done.append("outer")
            if error:
                raise ValueError(error)
    except KeyboardInterrupt as interrupt:
        done.append(f"interrupted, {interrupt.__context__}")
    return done


def test_ctrl_c_waits_for_the_end_of_the_outermost_block() -> None:
    assert held() == ["inner", "outer", "interrupted, None"]
    with pytest.raises(KeyboardInterrupt):
        press()


def test_a_second_ctrl_c_does_not_wait() -> None:
    assert [each.partition(",")[0] for each in held(presses=2)] == ["interrupted"]


def test_an_error_in_the_block_is_told_with_the_interrupt() -> None:
    assert held(error="the disk is full")[-1] == "interrupted, the disk is full"


def test_a_handler_of_the_program_is_called_later_and_stays() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    try:
        with Unbroken():
            press()
            assert not heard
        assert heard == [signal.SIGINT]
        with Noticed() as noticed:
            press()
            noticed.look()
        assert len(heard) == 2
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_and_a_program_that_ignores_it_are_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Unbroken(), Noticed() as noticed:
            press()
            noticed.look()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)

    def elsewhere() -> None:
        with Unbroken(), Noticed():
            handlers.append(signal.getsignal(signal.SIGINT))

    handlers: list[object] = []
    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert handlers == [before]


def test_a_lost_ctrl_c_is_noticed() -> None:
    with Noticed() as noticed:
        noticed.look()
        with suppress(KeyboardInterrupt):  # as Python does in a `__del__`
            press()
        with pytest.raises(KeyboardInterrupt):
            noticed.look()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_ledger_goes_on_wherever_ctrl_c_came(tmp_path: Path) -> None:
    """It stood still for good: the lock, or the lead, of the write that was cut off was not given back."""
    ledger = SqlLedger(SqliteDatabase(tmp_path / "ledger.db"), SimulatedClock())
    for step in itertools.count(1):
        pressing = Pressing(step)
        try:
            pressing.start()
            ledger.write(SendSignal("fire", "cut off"))
        except KeyboardInterrupt:
            pressing.stop()
            write_elsewhere(ledger)  # while the traceback lives, and with it whatever was cut off
        finally:
            pressing.stop()
        if pressing.passed < step:
            break
    assert step > 40
    ledger.close()


def write_elsewhere(ledger: SqlLedger) -> None:
    thread = threading.Thread(target=ledger.write, args=(SendSignal("fire", "next"),), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()

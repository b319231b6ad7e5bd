"""Requests that wait together are scored together; what goes wrong for one stays with that one."""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from headrace.endpoints.batching import Batches, Waiting
from headrace.errors import HeadraceError
from tests.support.application import HORIZON, Double, MemoryLog

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from headrace.endpoints.service import Scored


ENOUGH = 20.0  # seconds that nothing here takes
AT_ONCE = 0.05  # a time limit that is to pass


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def batches(log: MemoryLog) -> Iterator[Batches]:
    found = Batches(log, lambda: 7, ENOUGH, 1_000)
    yield found
    found.close()


@pytest.fixture
def impatient(log: MemoryLog) -> Iterator[Batches]:
    """Batches with a time limit that passes, of at most 50 rows."""
    found = Batches(log, lambda: 7, AT_ONCE, 50)
    yield found
    found.close()


@pytest.fixture
def slow() -> Iterator[Double]:
    """A version that is asked in a thread, which no test leaves waiting."""
    found = Double(quick=False)
    yield found
    found.gate.set()


def row(distance: float) -> dict[str, object]:
    return {"distance": distance, "delayed": False, "origin": "JFK"}


def ask(
    batches: Batches, served: Double, *distances: float, at: int = HORIZON, endpoint: str = "delays"
) -> asyncio.Future[tuple[Sequence[str], Scored]]:
    loop = asyncio.get_running_loop()
    rows = [row(each) for each in distances]
    waiting = Waiting(endpoint, rows, [at] * len(rows), loop.time(), loop.create_future())
    batches.add(served, waiting)
    return waiting.answer


async def told(*answers: asyncio.Future[tuple[Sequence[str], Scored]]) -> list[list[float] | str]:
    """The scores of each answer, or the code of its error."""
    found = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), ENOUGH)
    parts: list[list[float] | str] = []
    for each in found:
        if isinstance(each, HeadraceError):
            parts.append(each.code)
        else:
            assert not isinstance(each, BaseException), each
            parts.append(each[1].scores.tolist())
    return parts


async def entered(served: Double) -> None:
    """Wait until the version has been asked, in its thread."""
    assert await asyncio.to_thread(served.entered.wait, ENOUGH)
    served.entered.clear()


def logged_rows(log: MemoryLog) -> list[object]:
    return [each["distance"] for batch in log.batches for each in batch.rows]


@pytest.mark.parametrize("quick", [True, False])
def test_what_comes_in_one_turn_is_one_batch(batches: Batches, log: MemoryLog, quick: bool) -> None:
    served = Double(quick=quick)
    sizes: list[int] = []
    batches.sizes = sizes.append

    async def main() -> None:
        answers = [ask(batches, served, each, each + 0.5) for each in range(64)]
        assert await told(*answers) == [[2 * each + 3, 2 * each + 4] for each in range(64)]
        ids = [each.result()[0] for each in answers]
        (batch,) = log.batches
        assert [one for pair in ids for one in pair] == list(batch.ids)
        assert len(set(batch.ids)) == 128
        assert [each["distance"] for each in answers[3].result()[1].features] == [3, 3.5]

    asyncio.run(main())
    assert len(served.asked) == 1
    assert sizes == [128]
    assert batches.waiting == 0


def test_what_is_logged_is_what_is_answered(batches: Batches, log: MemoryLog) -> None:
    served = Double()
    asyncio.run(_gathered(partial(ask, batches, served, 1, at=HORIZON), partial(ask, batches, served, 2, 3, at=2_000)))
    (batch,) = log.batches
    assert (batch.endpoint, batch.key, batch.model, batch.at) == ("delays", served.key, served.model, 7)
    assert batch.generations == served.generations
    assert batch.cutoffs == [HORIZON, 2_000, 2_000]
    assert batch.rows == [row(1), row(2), row(3)]
    assert batch.scored.scores.tolist() == [5, 7, 9]
    assert [each["mean_delay"] for each in batch.scored.features] == [3, 3, 3]
    assert batch.scored.seen == [{"airports": 5}] * 3
    assert all(0 <= each < ENOUGH * 1e6 for each in batch.micros)


async def _gathered(*asks: partial[asyncio.Future[tuple[Sequence[str], Scored]]]) -> list[list[float] | str]:
    return await told(*(each() for each in asks))


@pytest.mark.parametrize("quick", [True, False])
def test_a_bad_row_fails_its_own_request_only(
    batches: Batches, log: MemoryLog, quick: bool, caplog: pytest.LogCaptureFixture
) -> None:
    served = Double(quick=quick)
    asks = [partial(ask, batches, served, *each) for each in ((1,), (2, 666), (3,))]
    assert asyncio.run(_gathered(*asks)) == [[5], "HR919", [9]]
    assert logged_rows(log) == [1, 3]
    assert "a secret of the model" in caplog.text


@pytest.mark.parametrize("code", ["HR456", "HR475", "HR476", "HR518"])
def test_a_refused_look_up_fails_its_own_request_only(batches: Batches, log: MemoryLog, code: str) -> None:
    served = Double()
    served.poison = HeadraceError(code, "refused")
    asks = [partial(ask, batches, served, each) for each in (1, 666, 3)]
    assert asyncio.run(_gathered(*asks)) == [[5], code, [9]]
    assert logged_rows(log) == [1, 3]


def test_a_moment_before_the_horizon_fails_its_own_request_only(batches: Batches) -> None:
    served = Double()
    asks = [partial(ask, batches, served, each, at=at) for each, at in ((1, HORIZON), (2, HORIZON - 1), (3, 10**9))]
    assert asyncio.run(_gathered(*asks)) == [[5], "HR475", [9]]


@pytest.mark.parametrize("poison", [RuntimeError("a"), MemoryError(), SystemExit(1), BaseException("a panic of Rust")])
@pytest.mark.parametrize("quick", [True, False])
def test_whatever_a_model_raises_the_queue_goes_on(batches: Batches, poison: BaseException, quick: bool) -> None:
    served = Double(quick=quick)
    served.poison = poison

    async def main() -> None:
        assert await told(ask(batches, served, 666)) == ["HR919"]
        assert await told(ask(batches, served, 1), ask(batches, served, 666)) == [[5], "HR919"]

    asyncio.run(main())
    assert batches.waiting == 0


@pytest.mark.parametrize(
    "wrong", [float("nan"), float("inf"), -float("inf")], ids=["nan", "infinity", "minus-infinity"]
)
def test_a_score_that_is_not_finite_is_an_error(batches: Batches, log: MemoryLog, wrong: float) -> None:
    served = Double()
    served.make = lambda scores: [wrong if each == 7 else each for each in scores]
    assert asyncio.run(_gathered(*(partial(ask, batches, served, each) for each in (1, 2)))) == [[5], "HR919"]
    assert logged_rows(log) == [1]


def test_a_wrong_number_of_scores_is_an_error(batches: Batches, log: MemoryLog) -> None:
    served = Double()
    served.make = lambda scores: scores[:-1]
    assert asyncio.run(_gathered(*(partial(ask, batches, served, each) for each in (1, 2)))) == ["HR919"] * 2
    assert not log.batches


def test_too_many_rows_that_wait_are_refused(batches: Batches, slow: Double) -> None:
    async def main() -> None:
        slow.gate.clear()
        first, second = ask(batches, slow, *[1] * 600), ask(batches, slow, *[1] * 400)
        with pytest.raises(HeadraceError, match="HR913"):
            ask(batches, slow, 1)
        slow.gate.set()
        await told(first, second)
        assert await told(ask(batches, slow, 1)) == [[5]]

    asyncio.run(main())


def test_a_request_larger_than_the_queue_is_taken_when_nothing_waits(batches: Batches) -> None:
    (scores,) = asyncio.run(_gathered(partial(ask, batches, Double(), *[1] * 1_500)))
    assert len(scores) == 1_500


def test_what_comes_while_a_slow_batch_runs_is_the_next_batch(batches: Batches, slow: Double) -> None:
    async def main() -> None:
        slow.gate.clear()
        first = ask(batches, slow, 1)
        await entered(slow)
        following = [ask(batches, slow, each) for each in (2, 3, 4)]
        slow.gate.set()
        assert await told(first, *following) == [[5], [7], [9], [11]]

    asyncio.run(main())
    assert slow.asked == [[1], [2, 3, 4]]


def test_a_large_batch_of_a_quick_version_leaves_the_loop(batches: Batches) -> None:
    served = Double()
    threads: list[str] = []

    def make(scores: list[float]) -> list[float]:
        threads.append(threading.current_thread().name)
        return scores

    served.make = make
    asyncio.run(_gathered(partial(ask, batches, served, *range(256))))
    asyncio.run(_gathered(partial(ask, batches, served, *range(257))))
    assert threads[0] == threading.current_thread().name
    assert threads[1].startswith("scoring")


def test_requests_beyond_the_largest_batch_make_another(log: MemoryLog) -> None:
    batches, served = Batches(log, lambda: 7, ENOUGH, 50_000), Double()
    asyncio.run(_gathered(*(partial(ask, batches, served, *[1] * 3_000) for _ in range(3))))
    batches.close()
    assert [len(each) for each in served.asked] == [3_000] * 3


def test_a_stuck_version_answers_in_time_and_keeps_nothing(impatient: Batches, log: MemoryLog, slow: Double) -> None:
    async def main() -> None:
        slow.gate.clear()
        for _ in range(3):  # each time, as many as may wait
            answers = [ask(impatient, slow, each) for each in range(50)]
            assert await told(*answers) == ["HR914"] * 50
        (queue,) = impatient._queues.values()  # noqa: SLF001 - what a stuck version keeps in memory is the point
        assert queue.waiting == []
        slow.gate.set()
        while (found := await told(ask(impatient, slow, 99))) == ["HR914"]:
            continue  # the machine is busy
        assert found == [[201]]

    asyncio.run(main())
    assert slow.asked[0] == list(range(50))
    assert all(each == [99] for each in slow.asked[1:])
    assert logged_rows(log) == [99]  # nobody got the others
    assert impatient.waiting == 0


@pytest.mark.parametrize("began", [True, False])
def test_who_has_gone_is_not_logged(batches: Batches, log: MemoryLog, slow: Double, began: bool) -> None:
    async def main() -> None:
        slow.gate.clear()
        gone = ask(batches, slow, 1)
        if began:
            await entered(slow)
        gone.cancel()
        slow.gate.set()
        assert await told(ask(batches, slow, 2)) == [[7]]

    asyncio.run(main())
    assert slow.asked == ([[1], [2]] if began else [[2]])
    assert logged_rows(log) == [2]
    assert batches.waiting == 0


def test_answers_are_logged_before_they_are_given(batches: Batches, log: MemoryLog) -> None:
    done_then: list[bool] = []

    async def main() -> None:
        answers = [ask(batches, Double(), each) for each in (1, 2)]
        log.appended = lambda _: done_then.extend(each.done() for each in answers)
        await told(*answers)

    asyncio.run(main())
    assert done_then
    assert not any(done_then[:2])


@pytest.mark.parametrize("quick", [True, False])
def test_a_log_that_raises_stops_nothing(
    batches: Batches, log: MemoryLog, quick: bool, caplog: pytest.LogCaptureFixture
) -> None:
    served = Double(quick=quick)
    log.failure = TypeError("one bad append")

    async def main() -> None:
        assert await told(ask(batches, served, 1), ask(batches, served, 2)) == ["HR919", "HR919"]
        assert batches.waiting == 0
        assert await told(ask(batches, served, 3)) == [[9]]

    asyncio.run(main())
    assert logged_rows(log) == [3]
    (said,) = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert said.exc_info is not None


def test_endpoints_that_share_a_version_are_logged_apart(batches: Batches, log: MemoryLog) -> None:
    served = Double()

    async def main() -> list[list[str]]:
        answers = [ask(batches, served, n, endpoint=name) for n, name in enumerate(("a", "b", "a"))]
        await told(*answers)
        return [list(each.result()[0]) for each in answers]

    ids = asyncio.run(main())
    said = {one: (each.endpoint, each.rows[n]["distance"]) for each in log.batches for n, one in enumerate(each.ids)}
    assert [said[one] for (one,) in ids] == [("a", 0), ("b", 1), ("a", 2)]
    assert len(served.asked) == 1


def test_versions_do_not_wait_for_each_other(batches: Batches, slow: Double) -> None:
    async def main() -> None:
        slow.gate.clear()
        first = ask(batches, slow, 1)
        await entered(slow)
        assert await told(ask(batches, Double("b" * 64), 2)) == [[7]]
        assert not first.done()
        slow.gate.set()
        assert await told(first) == [[5]]

    asyncio.run(main())


def test_a_version_that_was_loaded_again_is_asked_itself(batches: Batches, slow: Double) -> None:
    again = Double()

    async def main() -> None:
        slow.gate.clear()
        first = ask(batches, slow, 1)
        await entered(slow)
        assert await told(ask(batches, again, 2)) == [[7]]
        slow.gate.set()
        assert await told(first) == [[5]]

    asyncio.run(main())
    assert (slow.asked, again.asked) == ([[1]], [[2]])


def test_many_callers_at_all_times_get_their_own(batches: Batches, log: MemoryLog) -> None:
    """Whatever the order of turns and threads: each gets its own scores, and ids are never given twice."""
    quick, slow = Double(), Double("b" * 64, quick=False)

    async def caller(number: int) -> Sequence[str]:
        ids: list[str] = []
        for turn in range(20):
            served = (quick, slow)[(number + turn) % 2]
            value = number * 100 + turn
            given, scored = await ask(batches, served, value)
            assert scored.scores.tolist() == [2 * value + 3]
            ids.extend(given)
        return ids

    async def main() -> list[Sequence[str]]:
        return await asyncio.wait_for(asyncio.gather(*map(caller, range(30))), ENOUGH)

    counts = Counter(one for ids in asyncio.run(main()) for one in ids)
    assert len(counts) == 600
    assert set(counts.values()) == {1}
    assert counts.keys() == {one for batch in log.batches for one in batch.ids}


def test_joined_answers_keep_their_type(batches: Batches, log: MemoryLog) -> None:
    asyncio.run(_gathered(*(partial(ask, batches, Double(), each) for each in (1, 2))))
    assert all(each.scored.scores.dtype == np.float64 for each in log.batches)


def test_a_version_that_holds_the_loop_up_is_asked_in_a_thread(batches: Batches) -> None:
    moments = itertools.count()
    batches.stopwatch = lambda: next(moments) / 100
    served, threads = Double(), list[str]()

    def noted(scores: list[float]) -> Sequence[float]:
        threads.append(threading.current_thread().name)
        return scores

    served.make = noted

    async def main() -> None:
        for _ in range(3):
            assert await told(ask(batches, served, 1.0)) == [[5.0]]

    asyncio.run(main())
    assert [name.startswith("scoring") for name in threads] == [False, True, True]


def test_rows_are_logged_as_they_came_where_all_of_them_came_so(batches: Batches, log: MemoryLog) -> None:
    async def main() -> None:
        served, loop = Double(), asyncio.get_running_loop()
        for texts in ([b'{"a":1}', b'{"a":2}'], [b'{"a":1}', None]):
            answers: list[asyncio.Future[tuple[Sequence[str], Scored]]] = []
            for text in texts:
                answers.append(loop.create_future())
                rows = [row(1.0)]
                batches.add(served, Waiting("delays", rows, [HORIZON], loop.time(), answers[-1], None, text))
            await told(*answers)

    asyncio.run(main())
    assert [each.text for each in log.batches] == [b'{"a":1},{"a":2}', None]

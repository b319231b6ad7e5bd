"""What the service makes of a call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from headrace.endpoints.answering import AnsweringService, Limits
from headrace.endpoints.figures import Figures
from headrace.endpoints.service import Call, Field
from headrace.errors import HeadraceError
from tests.support.application import HORIZON, Double, MemoryLog, OneEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from headrace.endpoints.service import Answered

ROW = {"distance": 1.5, "delayed": True, "origin": "JFK"}


@pytest.fixture
def version() -> Iterator[Double]:
    found = Double()
    yield found
    found.gate.set()


@pytest.fixture
def log() -> MemoryLog:
    return MemoryLog()


@pytest.fixture
def service(version: Double, log: MemoryLog) -> AnsweringService:
    return service_of(version, log, Limits(rows=3))


def service_of(version: Double, log: MemoryLog, limits: Limits) -> AnsweringService:
    return AnsweringService(OneEndpoint(version), log, lambda: HORIZON, limits, Figures())


def predict(service: AnsweringService, call: Call) -> Answered:
    async def main() -> Answered:
        return await asyncio.wait_for(service.predict(call), 20)

    return asyncio.run(main())


def refused(service: AnsweringService, call: Call) -> HeadraceError:
    with pytest.raises(HeadraceError) as caught:
        predict(service, call)
    return caught.value


def test_a_call_is_answered_and_logged(service: AnsweringService, version: Double, log: MemoryLog) -> None:
    found = predict(service, Call("delays", [ROW, ROW]))
    assert (found.key, found.model, list(found.ids)) == (version.key, version.model, ["id-0", "id-1"])
    assert found.scored.scores.tolist() == [6.0, 6.0]
    assert found.contributions == ()
    assert log.batches[0].cutoffs == [HORIZON, HORIZON]


def test_the_cut_off_is_the_callers(service: AnsweringService, log: MemoryLog) -> None:
    predict(service, Call("delays", [ROW], at=5_000))
    assert log.batches[0].cutoffs == [5_000]


def test_a_call_of_no_rows_asks_no_model(service: AnsweringService, version: Double, log: MemoryLog) -> None:
    found = predict(service, Call("delays", []))
    assert (list(found.ids), found.scored.scores.tolist(), found.key) == ([], [], version.key)
    assert not version.asked
    assert not log.batches


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (Call("delays", [ROW] * 4), "HR907"),
        (Call("other", [ROW]), "HR901"),
        (Call("empty", [ROW]), "HR902"),
        (Call("delays", [ROW], version="zz"), "HR903"),
        (Call("delays", [ROW, {}]), "HR909"),
        (Call("delays", [ROW], at=HORIZON - 1), "HR475"),
    ],
)
def test_a_call_that_cannot_be_answered(service: AnsweringService, log: MemoryLog, call: Call, code: str) -> None:
    assert refused(service, call).code == code
    assert not log.batches
    assert service.batches.waiting == 0


def test_contributions_are_those_that_are_asked_for(service: AnsweringService) -> None:
    assert predict(service, Call("delays", [ROW], top=1)).contributions == [{"distance": 3.0}]


def test_an_explanation_that_fails_tells_nothing_of_the_model(
    service: AnsweringService, caplog: pytest.LogCaptureFixture
) -> None:
    error = refused(service, Call("delays", [ROW | {"distance": 667}], top=2))
    assert error.code == "HR919"
    assert "secret" not in str(error)
    assert "a secret of the model" in caplog.text


def test_an_explanation_that_is_refused_keeps_its_code(service: AnsweringService, version: Double) -> None:
    version.poison = HeadraceError("HR518", "refused")
    assert refused(service, Call("delays", [ROW | {"distance": 667}], top=2)).code == "HR518"


def test_an_explanation_that_is_not_finite_is_an_error(
    service: AnsweringService, version: Double, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "contributions", lambda *_: [{"distance": float("nan")}])
    assert refused(service, Call("delays", [ROW], top=2)).code == "HR919"


def test_an_explanation_takes_no_longer_than_a_request_may(version: Double, log: MemoryLog) -> None:
    service = service_of(version, log, Limits(seconds=0.3))

    log.appended = lambda _: version.gate.clear()  # scored by then; what follows is the explanation
    error = refused(service, Call("delays", [ROW], top=2))
    assert error.code == "HR914"
    assert "explanation" in error.what


def test_draining_answers_who_is_here(service: AnsweringService) -> None:
    assert service.ready()
    service.drain()
    assert not service.ready()
    assert predict(service, Call("delays", [ROW])).scored.scores.tolist() == [6.0]


class TestRollOut:
    """A version that takes over by and by."""

    def test_whoever_falls_to_the_candidate_is_answered_by_it(self, version: Double, log: MemoryLog) -> None:
        candidate = Double("b" * 64)
        traffic = OneEndpoint(version, candidate=candidate)
        service = AnsweringService(traffic, log, lambda: HORIZON, Limits(), Figures())
        rows = [ROW, ROW | {"origin": "EWR"}]
        answered = [predict(service, Call("delays", [row])) for row in rows]
        assert [each.key for each in answered] == [version.key, candidate.key]
        assert [(each.key, each.stage) for each in log.batches] == [(version.key, None), (candidate.key, "canary")]

    def test_a_shadow_is_asked_besides_and_nobody_hears_it(self, version: Double, log: MemoryLog) -> None:
        found, figures = self.answered_with(Double("b" * 64), version, log)
        assert found.key == version.key
        assert {(each.key, each.stage) for each in log.batches} == {(version.key, None), ("b" * 64, "shadow")}
        assert len({identity for each in log.batches for identity in each.ids}) == 2
        assert 'headrace_version_seconds_count{endpoint="delays",version="bbbbbbbbbbbb"} 1.0' in figures

    def test_a_shadow_that_fails_fails_nobody(self, version: Double, log: MemoryLog) -> None:
        shadow = Double("b" * 64)
        shadow.make = lambda scores: [float("nan")] * len(scores)
        found, figures = self.answered_with(shadow, version, log)
        assert found.scored.scores.tolist() == [6.0]
        assert 'headrace_version_failures_total{endpoint="delays",version="bbbbbbbbbbbb"} 1.0' in figures

    def test_a_shadow_that_refuses_the_rows_has_failed(self, version: Double, log: MemoryLog) -> None:
        shadow = Double("b" * 64)
        shadow.fields = (*shadow.fields, Field("wind", "number", required=True))
        _, figures = self.answered_with(shadow, version, log)
        assert 'headrace_version_failures_total{endpoint="delays",version="bbbbbbbbbbbb"} 1.0' in figures

    def test_a_shadow_is_not_asked_while_too_many_wait(self, version: Double, log: MemoryLog) -> None:
        shadow = Double("b" * 64)
        self.answered_with(shadow, version, log, Limits(waiting=0))
        assert not shadow.asked

    @staticmethod
    def answered_with(
        shadow: Double, version: Double, log: MemoryLog, limits: Limits | None = None
    ) -> tuple[Answered, str]:
        """An answer that was given while a shadow was asked, and what is counted once that is done."""
        figures = Figures()
        service = AnsweringService(
            OneEndpoint(version, shadowing=shadow), log, lambda: HORIZON, limits or Limits(), figures
        )

        async def main() -> Answered:
            found = await asyncio.wait_for(service.predict(Call("delays", [ROW])), 20)
            await service.close()
            return found

        return asyncio.run(main()), figures.text().decode()


def test_each_row_goes_by_its_entity(version: Double, log: MemoryLog) -> None:
    candidate = Double("b" * 64)
    candidate.make = lambda scores: [-each for each in scores]
    rows = [
        ROW | {"origin": origin, "distance": float(n)} for n, origin in enumerate(["JFK", "EWR", "LGA", "EWR", "X"])
    ]
    traffic = OneEndpoint(version, candidate)
    service = AnsweringService(traffic, log, lambda: HORIZON, Limits(), Figures())
    found = predict(service, Call("delays", rows, top=1, text=b"not to be logged"))
    assert found.scored.scores.tolist() == [3.0, -5.0, 7.0, -9.0, 9.0]
    assert [key for key, _ in found.made] == [each * 64 for each in "ababa"]
    assert [each["distance"] for each in found.scored.features] == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [each["distance"] for each in found.contributions] == [0.0, 2.0, 4.0, 6.0, 8.0]
    logged = {identity: row for batch in log.batches for identity, row in zip(batch.ids, batch.rows, strict=True)}
    assert [logged[each] for each in found.ids] == rows
    assert {(batch.key[0], batch.stage, batch.text) for batch in log.batches} == {
        ("a", None, None),
        ("b", "canary", None),
    }
    alone = predict(service, Call("delays", [rows[1], rows[3]]))
    assert (alone.key, alone.made) == (candidate.key, ())
    chosen = predict(service, Call("delays", rows, version="a"))
    assert (chosen.key, chosen.made) == (version.key, ())
    with pytest.raises(HeadraceError, match="row 3"):
        predict(service, Call("delays", [*rows[:3], rows[3] | {"distance": "far"}, rows[4]]))

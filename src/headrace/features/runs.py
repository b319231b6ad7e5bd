"""Questions about many runs of one long array at once, where the answer is no difference of two prefix sums.

Both take all questions together and go through the array once for each power of two, so that they need the space of a
few arrays, and no loop over rows or questions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt

    Positions = npt.NDArray[np.int64]
    Pick = Callable[[Any, Any], Any]


def extremes(values: npt.NDArray[Any], low: Positions, high: Positions, pick: Pick) -> npt.NDArray[Any]:
    """The smallest or largest value from `low` up to before `high`; that of an empty run has no meaning.

    A sparse table, of which one row is kept at a time: row k holds the extreme of the 2^k values from each place on.
    A run is covered by two such stretches, which may overlap. `pick` is `numpy.minimum` or `numpy.maximum`.
    """
    import numpy as np

    found = np.zeros(len(low), dtype=values.dtype)
    powers = np.frexp((high - low).astype(np.float64))[1] - 1  # exact: a run has fewer than 2^53 values
    asked = np.flatnonzero(powers >= 0)
    if not len(asked):
        return found
    asked = asked[np.argsort(powers[asked], kind="stable")]
    highest = int(powers[asked[-1]])
    ends = np.searchsorted(powers[asked], np.arange(highest + 1), side="right")
    table, begin = values, 0
    for power, end in enumerate(ends.tolist()):
        here = asked[begin:end]
        found[here] = pick(table[low[here]], table[high[here] - 2**power])
        begin = end
        if power < highest:
            table = pick(table[: -(2**power)], table[2**power :])
    return found


def smaller(values: npt.NDArray[np.uint32], low: Positions, high: Positions, bound: Positions) -> Positions:
    """How many values from `low` up to before `high` are smaller than `bound`, for each question.

    A wavelet matrix, of which one row is kept at a time: bit by bit, from the highest, the array is parted into the
    values without the bit and those with it, and each run goes on in the part that its bound says.
    """
    import numpy as np

    count = np.zeros(len(low), dtype=np.int64)
    if not len(values) or not len(low):
        return count
    bits = max(int(values.max()), int(bound.max())).bit_length()
    for bit in reversed(range(bits)):
        without = (values >> np.uint32(bit)) & np.uint32(1) == 0
        before = np.concatenate([[0], np.cumsum(without, dtype=np.int64)])
        first, last = before[low], before[high]
        above = (bound >> bit) & 1 == 1
        count += np.where(above, last - first, 0)
        low = np.where(above, before[-1] + low - first, first)
        high = np.where(above, before[-1] + high - last, last)
        values = np.concatenate([values[without], values[~without]])
    return count


def alike(
    groups: Positions, codes: Positions, places: Positions
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Where each value of a group was last before, plus 1 (0: it was not), and where it was first.

    Values stand group by group, with ascending places in each; equal values have the same code.
    """
    import numpy as np

    keys = groups * (int(codes.max(initial=0)) + 1) + codes
    order = np.argsort(keys, kind="stable")
    again = np.zeros(len(keys), dtype=np.bool_)
    again[1:] = np.diff(keys[order]) == 0
    last, first = np.empty(len(keys), dtype=np.uint32), np.empty(len(keys), dtype=np.uint32)
    sorted_places = places[order]
    last[order] = np.where(again, np.append(0, sorted_places[:-1] + 1)[: len(keys)], 0)
    first[order] = sorted_places[np.maximum.accumulate(np.where(again, 0, np.arange(len(keys))))]
    return last, first

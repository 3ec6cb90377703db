"""The law of the windows is GluonTS's, and the comparison would see if it were not."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from gluonts.itertools import PseudoShuffled
from gluonts.transform.sampler import (
    BucketInstanceSampler,
    ExpectedNumInstanceSampler,
    NumInstanceSampler,
    PredictionSplitSampler,
    UniformSplitSampler,
    ValidationSplitSampler,
)
from scipy.stats import chi2_contingency

from tsbnn.forecasting.windows.not_served import NotServedError
from tsbnn.forecasting.windows.window_sampler import window_stream
from tsbnn.forecasting.windows.window_streams import (
    ShuffledStream,
    SplitPoints,
    Windows,
    WindowStream,
)
from tsbnn.foreign.random_state import RandomStream

# The third series is too short for any window.
LENGTHS = torch.tensor([12, 40, 5, 9, 25, 6])
FUTURE, PASSES, BATCH = 6, 3_000, 5
# Equal laws fall below this level once in a thousand comparisons, and the seeds are fixed; wrong
# laws must fall far below it.
LEVEL, WRONG = 1e-3, 1e-9

Pair = tuple[int, int]
# Windows, pass by pass.
Passes = list[list[Pair]]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pairs(windows: Windows) -> list[Pair]:
    return list(zip(windows.series.tolist(), windows.split.tolist(), strict=True))


def gluonts_passes(sampler: Any, seed: int = 0) -> Passes:
    """GluonTS's sampler on the series, pass after pass, once its running average has settled."""
    targets = [np.zeros(length) for length in LENGTHS.tolist()]
    with RandomStream(seed).active():
        for _ in range(300):
            for target in targets:
                sampler(target)
        return [
            [(n, int(split)) for n, target in enumerate(targets) for split in sampler(target)]
            for _ in range(PASSES)
        ]


def own_passes(stream: WindowStream, count: int, block: int = 97) -> Passes:
    """Windows of a stream, drawn in blocks."""
    windows = [pair for _ in range(count // block) for pair in pairs(stream.take(block))]
    return cut_into_passes(windows)


def cut_into_passes(windows: Sequence[Pair]) -> Passes:
    """A new pass starts where the order falls; the rare gap of a whole pass is not seen."""
    passes: Passes = [[windows[0]]]
    for before, pair in itertools.pairwise(windows):
        if pair <= before:
            passes.append([])
        passes[-1].append(pair)
    return passes


def p_value(ours: Sequence[Hashable], theirs: Sequence[Hashable]) -> float:
    """Chi-square test that two samples have one law; rare values are counted together."""
    first, second = Counter(ours), Counter(theirs)
    common = [value for value in first | second if first[value] + second[value] > 20]
    table = [[count[v] for v in common] for count in (first, second)]
    for row, count in zip(table, (first, second), strict=True):
        row.append(sum(count.values()) - sum(row) + 1)
    return float(chi2_contingency(table).pvalue)


def ring(passes: Passes) -> np.ndarray:
    """Place of each window along all split points of all passes."""
    points = SplitPoints(LENGTHS, 0, FUTURE)
    starts = (points.counts.cumsum(0) - points.counts).tolist()
    return np.array(
        [n * points.total + starts[s] + split for n, one in enumerate(passes) for s, split in one]
    )


def flat(passes: Passes) -> list[Pair]:
    return [pair for one in passes for pair in one]


def batches(passes: Passes) -> list[list[Pair]]:
    windows = flat(passes)
    return [windows[i : i + BATCH] for i in range(0, len(windows) - BATCH, BATCH)]


STATISTICS: dict[str, Callable[[Passes], list[Any]]] = {
    "series and split": flat,
    "windows of a pass": lambda passes: [len(one) for one in passes[1:-1]],
    "gaps": lambda passes: np.diff(ring(passes)).tolist(),
    "series of a batch": lambda passes: [len({s for s, _ in batch}) for batch in batches(passes)],
    "longest series in a batch": lambda passes: [
        sum(s == 1 for s, _ in batch) for batch in batches(passes)
    ],
}


@pytest.fixture(scope="module")
def expected() -> Passes:
    sampler = ExpectedNumInstanceSampler(num_instances=1.5, min_future=FUTURE)
    return cut_into_passes(flat(gluonts_passes(sampler)))


@pytest.fixture(scope="module")
def own() -> Passes:
    sampler = ExpectedNumInstanceSampler(num_instances=1.5, min_future=FUTURE)
    return own_passes(window_stream(sampler, LENGTHS, generator(1)), 30_000)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_the_law_is_that_of_gluonts(own: Passes, expected: Passes, statistic: str) -> None:
    measure = STATISTICS[statistic]
    assert len(measure(own)) > 1_000
    assert p_value(measure(own), measure(expected)) > LEVEL


def test_a_window_is_never_taken_twice_in_a_pass(own: Passes) -> None:
    assert all(len(set(one)) == len(one) for one in own)
    admissible = {(s, i) for s, n in enumerate(LENGTHS.tolist()) for i in range(n - FUTURE + 1)}
    assert set(flat(own)) == admissible


def wrong_uniform_over_series(rng: np.random.Generator) -> list[Pair]:
    counts = SplitPoints(LENGTHS, 0, FUTURE).counts.numpy()
    series = rng.choice(np.flatnonzero(counts), 30_000)
    return list(zip(series.tolist(), rng.integers(counts[series]).tolist(), strict=True))


def wrong_independent_points(rng: np.random.Generator) -> list[Pair]:
    points = SplitPoints(LENGTHS, 0, FUTURE)
    return pairs(points.locate(torch.from_numpy(rng.integers(points.total, size=30_000))))


def wrong_equal_gaps(rng: np.random.Generator) -> list[Pair]:
    points = SplitPoints(LENGTHS, 0, FUTURE)
    return pairs(points.locate(torch.arange(0, 30_000 * 11, 11) % points.total))


@pytest.mark.parametrize(
    ("wrong", "statistics"),
    [
        (wrong_uniform_over_series, ["series and split", "longest series in a batch"]),
        (wrong_independent_points, ["gaps", "windows of a pass", "series of a batch"]),
        (wrong_equal_gaps, ["gaps", "windows of a pass", "series of a batch"]),
    ],
)
def test_a_wrong_law_is_found(
    expected: Passes, wrong: Callable[[np.random.Generator], list[Pair]], statistics: list[str]
) -> None:
    passes = cut_into_passes(wrong(np.random.default_rng(0)))
    for statistic in statistics:
        assert p_value(STATISTICS[statistic](passes), STATISTICS[statistic](expected)) < WRONG


@pytest.mark.parametrize("statistic", ["windows of a pass", "gaps"])
def test_a_wrong_number_of_windows_is_found(expected: Passes, statistic: str) -> None:
    sampler = ExpectedNumInstanceSampler(num_instances=1.7, min_future=FUTURE)
    passes = own_passes(window_stream(sampler, LENGTHS, generator(1)), 30_000)
    assert p_value(STATISTICS[statistic](passes), STATISTICS[statistic](expected)) < WRONG


@pytest.mark.parametrize("statistic", STATISTICS)
def test_uniform_split_sampler(statistic: str) -> None:
    sampler = UniformSplitSampler(p=0.1, min_future=FUTURE)
    own = own_passes(window_stream(sampler, LENGTHS, generator(2)), 30_000)
    measure = STATISTICS[statistic]
    theirs = cut_into_passes(flat(gluonts_passes(sampler, 3)))
    assert p_value(measure(own), measure(theirs)) > LEVEL


def test_num_instance_sampler() -> None:
    """Three windows of each series and pass, anywhere in it, perhaps twice the same."""
    sampler = NumInstanceSampler(N=3, min_past=2, min_future=4)
    points = SplitPoints(LENGTHS, 2, 4)
    size = 3 * len(points.admissible)
    windows = window_stream(sampler, LENGTHS, generator()).take(1_000 * size)
    series = windows.series.view(1_000, size)
    assert series[0].tolist() == [0, 0, 0, 1, 1, 1, 3, 3, 3, 4, 4, 4, 5, 5, 5]
    assert (series == series[0]).all()
    theirs = flat(gluonts_passes(sampler))
    assert Counter(s for s, _ in theirs) == Counter(s for s, _ in pairs(windows) * 3)
    assert p_value(pairs(windows), theirs) > LEVEL
    broken = windows.split.where(windows.series != 1, 2 + (windows.split - 2) // 2 * 2)
    assert p_value(pairs(Windows(windows.series, broken)), theirs) < WRONG


def test_prediction_and_validation_samplers() -> None:
    sampler = ValidationSplitSampler(min_past=1, min_future=FUTURE)
    stream = window_stream(sampler, LENGTHS, generator())
    last = [
        (n, int(split))
        for n, length in enumerate(LENGTHS.tolist())
        for split in sampler(np.zeros(length))
    ]
    assert [n for n, _ in last] == [0, 1, 3, 4]
    assert pairs(stream.one_pass()) == last
    assert pairs(stream.take(3)) + pairs(stream.take(6)) == (last * 3)[:9]
    with pytest.raises(NotServedError, match="too short"):
        window_stream(PredictionSplitSampler(min_future=FUTURE), LENGTHS, generator())


@pytest.mark.parametrize("sampler", ["bernoulli", "number"])
def test_a_single_pass_has_the_law_of_gluonts(sampler: str) -> None:
    build = {
        "bernoulli": lambda: ExpectedNumInstanceSampler(num_instances=1.5, min_future=FUTURE),
        "number": lambda: NumInstanceSampler(N=2, min_future=FUTURE),
    }[sampler]
    stream = window_stream(build(), LENGTHS, generator(4))
    own = [pairs(stream.one_pass()) for _ in range(PASSES)]
    assert all([s for s, _ in one] == sorted(s for s, _ in one) for one in own)
    theirs = gluonts_passes(build())
    if sampler == "bernoulli":
        assert p_value([len(one) for one in own], [len(one) for one in theirs]) > LEVEL
    assert p_value(flat(own), flat(theirs)) > LEVEL


def test_probabilities_of_one_take_every_point() -> None:
    sampler = UniformSplitSampler(p=2.0, min_past=1, min_future=4)
    stream = window_stream(sampler, torch.tensor([6, 3, 5]), generator())
    every = [(0, 1), (0, 2), (2, 1)]
    assert pairs(stream.take(2)) + pairs(stream.take(5)) == (every * 3)[:7]
    assert pairs(stream.one_pass()) == every


def test_tiny_probabilities_pass_over_whole_passes() -> None:
    stream = window_stream(UniformSplitSampler(p=1e-9), LENGTHS, generator())
    assert len(set(pairs(stream.take(500)))) > 80
    assert len(stream.one_pass().series) == 0


def test_blocks_do_not_matter_to_where_the_stream_goes_on() -> None:
    """Two windows are one point apart as often across the border of two blocks as within one."""
    stream = window_stream(UniformSplitSampler(p=0.5), torch.tensor([1_000]), generator(5))
    blocks = [stream.take(2).split.tolist() for _ in range(4_000)]
    within = [min((b - a) % 1_001, 9) for a, b in blocks]
    across = [min((b[0] - a[1]) % 1_001, 9) for a, b in itertools.pairwise(blocks)]
    assert p_value(within, across) > LEVEL
    assert min(within) == min(across) == 1


class Counting(WindowStream):
    """0, 1, 2, … as windows."""

    _next = 0

    def __init__(self) -> None:
        super().__init__(SplitPoints(torch.tensor([1]), 0, 0), generator(6))

    def take(self, count: int) -> Windows:
        numbers = torch.arange(self._next, self._next + count)
        self._next += count
        return Windows(numbers, 10 * numbers)

    def one_pass(self) -> Windows:
        return self.take(5)


@pytest.mark.parametrize("length", [1, 2, 7, 50])
def test_shuffling_is_that_of_gluonts(length: int) -> None:
    stream = ShuffledStream(Counting(), length)
    blocks = [stream.take(13) for _ in range(800)]
    own = torch.cat([block.series for block in blocks])
    assert torch.equal(10 * own, torch.cat([block.split for block in blocks]))
    # Each comes once, those in the buffer are still to come.
    assert len(set(own.tolist())) == len(own)
    missing = set(range(len(own) + length)) - set(own.tolist())
    assert len(missing) == length
    with RandomStream(0).active():
        theirs = list(PseudoShuffled(range(len(own) + length), length))[: len(own)]
    late = [(place - number).item() for place, number in enumerate(own)]
    their_late = [place - number for place, number in enumerate(theirs)]
    assert min(late) == min(their_late) == 1 - length
    if length == 1:
        assert own.tolist() == theirs
    else:
        assert p_value(late, their_late) > LEVEL
        other = ShuffledStream(Counting(), length + 1).take(len(own)).series
        wrong = [(place - number).item() for place, number in enumerate(other)]
        assert p_value(wrong, their_late) < WRONG


@pytest.mark.parametrize(
    ("sampler", "reason"),
    [
        (ExpectedNumInstanceSampler(num_instances=1, min_instances=2), "min_instances=2"),
        (NumInstanceSampler(N=1, axis=0), "axis=0"),
        (BucketInstanceSampler.construct(), "BucketInstanceSampler is not known"),
        (type("Mine", (NumInstanceSampler,), {})(N=1), "Mine is not known"),
    ],
)
def test_other_samplers_are_left_to_gluonts(sampler: Any, reason: str) -> None:
    with pytest.raises(NotServedError, match=reason):
        window_stream(sampler, LENGTHS, generator())


@pytest.mark.parametrize(
    ("sampler", "lengths", "message"),
    [
        (
            NumInstanceSampler(N=1, min_past=30, min_future=11),
            LENGTHS,
            "the 41 points .* longest has 40",
        ),
        (NumInstanceSampler(N=1), torch.tensor([], dtype=torch.int64), "no series"),
        (NumInstanceSampler(N=0), LENGTHS, "N must be at least 1"),
        (ExpectedNumInstanceSampler(num_instances=0), LENGTHS, "above 0"),
        (UniformSplitSampler(p=0), LENGTHS, "above 0"),
    ],
)
def test_no_window_is_an_error(sampler: Any, lengths: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        window_stream(sampler, lengths, generator(), name="training_data")


def test_streams_depend_on_their_generator_only(unchanged_global_random_state: None) -> None:
    def drawn(seed: int, shuffled: int | None) -> list[Pair]:
        sampler = ExpectedNumInstanceSampler(num_instances=1, min_future=FUTURE)
        stream = window_stream(sampler, LENGTHS, generator(seed), shuffled)
        return pairs(stream.take(40)) + pairs(stream.take(40))

    for shuffled in (None, 5):
        assert drawn(0, shuffled) == drawn(0, shuffled) != drawn(1, shuffled)

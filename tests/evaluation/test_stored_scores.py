"""Stored scores: small files that compare like the backtest they came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.evaluation.doubles import Described, Fake, series
from tsbnn.evaluation import Backtest, StoredScores, backtest, paired_difference
from tsbnn.evaluation.metrics import WindowScores


@pytest.fixture(scope="module")
def result() -> Backtest:
    return backtest(
        {"bayesian": Described(), "naive": Fake()},
        series(3),
        prediction_length=5,
        windows=2,
        seeds=(0, 3),
        baselines=False,
        dataset_name="weekly",
    )


def test_a_file_compares_like_the_backtest(result: Backtest, tmp_path: Path) -> None:
    path = StoredScores.of(result).save(tmp_path / "scores.npz")
    loaded = StoredScores.load(path)
    assert loaded.dataset == "weekly"
    assert loaded.models == result.models
    assert list(loaded.scores) == list(result.scores)
    assert loaded.metrics is None
    pd.testing.assert_frame_equal(loaded.windows, result.windows)
    for cell, scores in result.scores.items():
        assert loaded.scores[cell].numerators.keys() == scores.numerators.keys()
        for name in scores.numerators:
            expected = float(scores.value(name))
            assert float(loaded.scores[cell].value(name)) == pytest.approx(expected, rel=1e-6), name
    assert "epistemic_share" in loaded.scores["bayesian", 3].numerators
    assert "epistemic_share" not in loaded.scores["naive", 3].numerators
    one, other = (
        paired_difference(scored, "bayesian", "naive", resamples=50) for scored in (result, loaded)
    )
    assert other.num_seeds == 2
    assert [other.low, other.high] == pytest.approx([one.low, one.high], rel=1e-4)


def test_only_chosen_metrics_are_kept(result: Backtest, tmp_path: Path) -> None:
    stored = StoredScores.of(result, metrics=("crps", "epistemic_share"))
    loaded = StoredScores.load(stored.save(tmp_path / "few.npz"))
    assert set(loaded.scores["bayesian", 0].numerators) == {"crps", "epistemic_share"}
    assert set(loaded.scores["naive", 0].numerators) == {"crps"}
    assert loaded.metrics == ("crps", "epistemic_share")
    # What is added later is chosen in the same way.
    loaded.add("late", 0, result.scores["naive", 0])
    assert set(loaded.scores["late", 0].numerators) == {"crps"}
    with pytest.raises(ValueError, match=r"'bayesian', seed 0: none of the metrics crsp .* crps"):
        StoredScores.of(result, metrics=["crsp"])


def many_cells(windows: int = 840, cells: int = 100) -> StoredScores:
    rng = np.random.default_rng(0)
    index = pd.DataFrame({"item_id": np.repeat(["a", "b"], windows // 2), "window": range(windows)})
    stored = StoredScores(index, "large")
    known, size = np.full(windows, 24.0), rng.gamma(3, 1, windows)
    for cell in range(cells):
        sums = {f"score {n}": rng.gamma(3, 1, windows) for n in range(10)}
        hits = {f"coverage_{n}": rng.binomial(24, 0.9, windows) * 1.0 for n in (50, 80, 90, 95)}
        below = {name: size if name == "score 1" else known for name in (*sums, *hits)}
        stored.add(f"model {cell // 5}", cell % 5, WindowScores({**sums, **hits}, below))
    return stored


def test_files_are_small(tmp_path: Path) -> None:
    assert many_cells().save(tmp_path / "large.npz").stat().st_size < 4e6


def test_equal_arrays_are_stored_once(tmp_path: Path) -> None:
    one = many_cells(cells=1)
    size = one.save(tmp_path / "one.npz").stat().st_size
    for seed in range(1, 20):
        one.add("model 0", seed, one.scores["model 0", 0])
    assert one.save(tmp_path / "twenty.npz").stat().st_size < 1.1 * size
    assert len(StoredScores.load(tmp_path / "twenty.npz").scores) == 20


@pytest.mark.filterwarnings("ignore:Period with BDay:FutureWarning")
@pytest.mark.parametrize("freq", ["W-SUN", "Q-DEC", "B", "15min"])
def test_windows_keep_what_is_known_of_them(freq: str, tmp_path: Path) -> None:
    starts = [pd.Period("2024-03-01", freq) + step for step in (0, 7)]
    windows = pd.DataFrame({"item_id": ["ä", "ä"], "window": [0, 1]})
    windows["start"] = pd.Series(starts, dtype=object)
    windows["seasonal_error"] = [0.3, np.nan]
    stored = StoredScores(windows)
    stored.add("m", 0, WindowScores({"crps": np.ones(2)}, {"crps": np.ones(2)}))
    loaded = StoredScores.load(stored.save(tmp_path / "scores.npz"))
    assert list(loaded.windows["start"]) == starts
    assert loaded.windows["seasonal_error"].tolist() == pytest.approx([0.3, np.nan], nan_ok=True)
    assert list(loaded.windows["item_id"]) == ["ä", "ä"]


def test_nothing_scored_yet_is_a_file_too(tmp_path: Path) -> None:
    empty = StoredScores(pd.DataFrame({"item_id": ["a"], "window": [0]}), "none")
    loaded = StoredScores.load(empty.save(tmp_path / "empty.npz"))
    assert (loaded.models, loaded.dataset, len(loaded.windows)) == ([], "none", 1)


def test_a_cut_run_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = many_cells(windows=10, cells=2)
    path = stored.save(tmp_path / "scores.npz")
    before = path.read_bytes()

    def cut(file: object, **arrays: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", cut)
    with pytest.raises(KeyboardInterrupt):
        stored.save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    text, other, pickled = tmp_path / "text.npz", tmp_path / "other.npz", tmp_path / "pickled.npz"
    text.write_text("crps,1.0")
    np.savez(other, values=np.ones(3))
    np.savez(pickled, version=1, item_id=np.array([{}], dtype=object))
    for path in (text, other, pickled):
        with pytest.raises(ValueError, match=f"{path.name} holds no stored scores"):
            StoredScores.load(path)
    cut = many_cells(windows=10, cells=2).save(tmp_path / "cut.npz")
    cut.write_bytes(cut.read_bytes()[:200])
    with pytest.raises(ValueError, match=r"cut\.npz holds no stored scores"):
        StoredScores.load(cut)
    with pytest.raises(FileNotFoundError):
        StoredScores.load(tmp_path / "absent.npz")


def test_scores_of_other_windows_are_refused() -> None:
    stored = StoredScores(pd.DataFrame({"item_id": ["a"] * 3, "window": range(3)}))
    with pytest.raises(ValueError, match="'m', seed 4: scores of 2 windows do not fit 3 windows"):
        stored.add("m", 4, WindowScores({"crps": np.ones(2)}, {"crps": np.ones(2)}))

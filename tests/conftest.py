"""What every test shares: one thread, the public data, checks that nothing is left behind."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

# Tests run side by side, and tiny tensors are slower on several threads than on one.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public series (see data/README.md); without it the test is skipped."""
    named = os.environ.get("TSBNN_DATA_DIR")
    if not named:
        pytest.skip("needs the public data sets: TSBNN_DATA_DIR is not set")
    if not Path(named).is_dir():
        pytest.skip(f"needs the public data sets: TSBNN_DATA_DIR={named} is not a folder")
    return Path(named)


def global_random_state() -> dict[str, object]:
    _, numpy_words, *numpy_rest = np.random.get_state()  # noqa: NPY002
    return {
        "python": random.getstate(),
        "numpy": (np.asarray(numpy_words).tobytes(), *numpy_rest),
        "torch": torch.get_rng_state().numpy().tobytes(),
    }


@pytest.fixture
def unchanged_global_random_state() -> Iterator[None]:
    """Fail the test if it leaves the global random state of Python, NumPy or torch changed."""
    before = global_random_state()
    yield
    after = global_random_state()
    changed = [library for library in before if before[library] != after[library]]
    assert not changed, f"global random state has changed: {changed}"


@pytest.fixture
def empty_working_directory(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Run the test in an empty folder, and fail it if anything is left there."""
    folder = tmp_path_factory.mktemp("working_directory")
    monkeypatch.chdir(folder)
    yield folder
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    assert not left, f"left in the working directory: {left}"


@pytest.fixture
def default_float64() -> Iterator[None]:
    """Let new tensors be float64, as some programs do."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)

"""Our own streams meet nobody else's."""

from __future__ import annotations

import numpy as np

from tsbnn.evaluation.randomness import stream


def test_streams_differ_from_each_other_and_from_numpys_own():
    found = [stream(0, purpose).random() for purpose in ("pit", "naive", "paths", "bootstrap")]
    assert len({*found, np.random.default_rng(0).random()}) == 5
    assert stream(0, "pit").random() == found[0]
    assert stream(1, "pit").random() != found[0]

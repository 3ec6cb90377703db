"""Score matching with full Gaussians, for few weights."""

from __future__ import annotations

from tsbnn.inference.matching.bam import BatchAndMatch
from tsbnn.inference.matching.gsm import GaussianScoreMatching

__all__ = ["BatchAndMatch", "GaussianScoreMatching"]

"""Sparse subspace inference: a posterior on few weights, and state for them alone."""

from __future__ import annotations

from tsbnn.inference.sparse.sparsity import SparsityReport
from tsbnn.inference.sparse.ssvi import SparseSubspaceVI

__all__ = ["SparseSubspaceVI", "SparsityReport"]

"""Plots, each on the axes that it is given; users find them in :mod:`tsbnn.plotting`."""

from __future__ import annotations

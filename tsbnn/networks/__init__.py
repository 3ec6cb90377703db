"""Forecasting networks: plain torch modules that know nothing of inference."""

from __future__ import annotations

"""Tests of tsbnn.datasets."""

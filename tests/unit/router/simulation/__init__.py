"""Tests of the what-if simulator."""

"""Builds what the benchmarks measure, measures it in turn, and prints the table."""

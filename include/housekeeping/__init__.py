"""Housekeeping: what grows has a bound, and what is over makes way for what is not."""

"""Fixtures of the flows' tests: the processed site is that of the steps' tests."""

from tests.tasks.conftest import copied, processed

__all__ = ["copied", "processed"]

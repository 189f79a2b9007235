"""A background iterator keeps order, carries errors, stays within its bound and ends with its reader."""

import gc
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.background import prefetch


def fetchers() -> int:
    return sum(thread.name == "prefetch" for thread in threading.enumerate())


@settings(max_examples=30)
@given(st.lists(st.one_of(st.integers(), st.none()), max_size=30), st.integers(1, 5))
def test_items_come_in_order(items: list[int | None], ahead: int) -> None:
    assert list(prefetch(items, ahead)) == items
    assert fetchers() == 0


@pytest.mark.parametrize("ahead", [0, -1])
def test_a_bound_below_one_is_refused(ahead: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        next(prefetch([1], ahead))


def test_an_error_comes_where_it_is_read() -> None:
    def failing() -> Iterator[int]:
        yield 1
        yield 2
        raise KeyError("three")

    items = prefetch(failing(), 5)
    assert next(items) == 1
    time.sleep(0.05)  # the error has happened by now, and waits for its turn
    assert next(items) == 2
    with pytest.raises(KeyError, match="three"):
        next(items)
    assert fetchers() == 0


def test_what_cannot_be_iterated_is_an_error_and_no_endless_wait() -> None:
    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise RuntimeError("cannot begin")

    with pytest.raises(RuntimeError, match="cannot begin"):
        list(prefetch(Broken(), 2))


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_than_the_bound_is_fetched_in_advance(ahead: int) -> None:
    fetched = 0

    def counting() -> Iterator[int]:
        nonlocal fetched
        for number in range(50):
            fetched += 1
            yield number

    most = 0
    for taken, _ in enumerate(prefetch(counting(), ahead), 1):
        time.sleep(0.002)
        most = max(most, fetched - taken)
    assert 1 <= most <= ahead
    assert fetched == 50


def test_closing_early_closes_the_source_and_ends_the_thread() -> None:
    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            number = 0
            while True:
                yield number
                number += 1
        finally:
            closed.set()

    items = prefetch(endless(), 2)
    assert [next(items) for _ in range(3)] == [0, 1, 2]
    items.close()
    assert closed.is_set()
    assert fetchers() == 0


def test_an_error_of_the_reader_ends_the_thread() -> None:
    def read() -> None:
        for number in prefetch(iter(range(1000)), 2):
            assert number < 5, "the reader gives up"

    with pytest.raises(AssertionError, match="gives up"):
        read()
    gc.collect()
    assert fetchers() == 0


def test_fetching_goes_on_while_the_reader_works() -> None:
    ready = threading.Event()

    def two() -> Iterator[int]:
        yield 1
        ready.set()
        yield 2

    items = prefetch(two(), 1)
    assert next(items) == 1
    assert ready.wait(5)
    assert list(items) == [2]


def test_prefetching_twice_nests() -> None:
    inner = prefetch(iter(range(100)), 2)
    outer = prefetch((number * 2 for number in inner), 2)
    assert [next(outer) for _ in range(3)] == [0, 2, 4]
    outer.close()
    inner.close()
    assert fetchers() == 0

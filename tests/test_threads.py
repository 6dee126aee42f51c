"""Work done ahead: in order, at the same time, within bounds; and errors in their place."""

import threading
import time

import pytest

from ssd.threads import ahead, batched, made_ahead


def slower_first(k):
    time.sleep(0.01 * (5 - k))
    return k * k


def test_results_keep_the_order_of_the_items():
    assert list(ahead(slower_first, range(6), 4)) == [k * k for k in range(6)]
    assert list(ahead(slower_first, [], 4)) == []
    assert list(ahead(str.upper, "abc", 0)) == ["A", "B", "C"]


def test_items_that_follow_are_worked_on_meanwhile():
    done = [threading.Event() for _ in range(6)]
    results = ahead(lambda k: done[k].set(), range(6), 3)
    next(results)
    assert all(event.wait(60) for event in done[:4])  # while the first is in use
    assert not done[4].is_set()
    results.close()


def test_no_more_items_are_taken_than_there_is_room_for():
    taken = []
    results = ahead(str, (taken.append(k) or k for k in range(100)), 3)
    for used in range(1, 20):
        next(results)
        assert len(taken) == used + 3
    results.close()
    assert len(taken) == 22


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_errors_of_the_items_come_after_the_results_before_them(error):
    def items():
        yield from (3, 4)
        raise error("no fifth")

    results = ahead(slower_first, items(), 8)
    assert [next(results), next(results)] == [9, 16]
    with pytest.raises(error, match="no fifth"):
        next(results)


def test_an_error_of_the_function_ends_it_in_its_place():
    results = ahead(lambda k: 6 // k, [3, 2, 0, 1], 8)
    assert [next(results), next(results)] == [2, 3]
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_closing_drops_what_has_not_begun():
    begun, may_end = [], threading.Event()

    def work(k):
        begun.append(k)
        return k == 0 or may_end.wait(60)

    results = ahead(work, range(20), 10, threads=1)
    next(results)
    threading.Timer(0.5, may_end.set).start()
    results.close()
    assert begun in ([0], [0, 1])
    assert may_end.is_set() or begun == [0]  # what has begun ends first


def test_items_made_ahead():
    made, changed = [], threading.Condition()

    def items():
        for k in range(5):
            with changed:
                made.append(k)
                changed.notify()
            yield k
        raise ValueError("at the end")

    using = made_ahead(items(), 2)
    assert next(using) == 0
    with changed:
        assert changed.wait_for(lambda: made == [0, 1, 2], 60)  # two more than are used
    using.close()
    assert made == [0, 1, 2]
    with pytest.raises(ValueError, match="at the end"):
        list(made_ahead(items(), 2))
    assert list(made_ahead([], 2)) == []
    assert list(made_ahead("abc", 2)) == ["a", "b", "c"]


def test_batches():
    assert list(batched(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(batched([], 2)) == []

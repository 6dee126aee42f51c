"""Work that threads do ahead of its use, in order and within bounds.

Pillow, NumPy and PyTorch let other threads run while they compute, so pictures are decoded, resized, drawn and written
while the network works.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import islice, repeat, takewhile
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    function: Callable[[T], R], items: Iterable[T], most: int, threads: int | None = None
) -> Generator[R, None, None]:
    """Yield function(item) for each item, in order, while threads work on up to `most` items that follow.

    The caller's thread takes the items, each when there is room for it. So the items may themselves come from `ahead`.
    threads: how many; 1 calls the function in the order of the items. By default a few more than there are cores.
    An error of the function or of `items` is raised in its place, after the results before it. Closing the generator
    drops what has not begun, and waits for the rest.
    """
    pool = ThreadPoolExecutor(threads)
    waiting: deque[Future[R]] = deque()
    try:
        for future in _submitted(pool, function, items):
            waiting.append(future)
            if len(waiting) > most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _submitted(pool: ThreadPoolExecutor, function: Callable[[T], R], items: Iterable[T]) -> Iterator[Future[R]]:
    """Yield the future result for each item; if `items` ends with an error, that is the last one."""
    try:
        for item in items:
            yield pool.submit(function, item)
    except (Exception, KeyboardInterrupt) as error:
        failed: Future[R] = Future()
        failed.set_exception(error)
        yield failed


def made_ahead(items: Iterable[T], most: int) -> Generator[T, None, None]:
    """Yield the items, none of them None, while a thread makes up to `most` that follow."""
    with closing(ahead(lambda source: next(source, None), repeat(iter(items)), most, threads=1)) as following:
        yield from takewhile(lambda item: item is not None, following)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` items, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch

"""Numbered pages for long lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.core.paginator import Page, Paginator


class CountedPaginator(Paginator):  # type: ignore[type-arg]  # not subscriptable at run time
    """Pages of rows that have been counted already."""

    def __init__(self, rows: Any, per_page: int, count: int) -> None:
        super().__init__(rows, per_page)
        self.counted = count

    @property
    def count(self) -> int:
        """How many rows there are on all pages."""
        return self.counted


def page_links(page: Page[Any], query: Callable[[int], str]) -> list[tuple[int | None, str]]:
    """Numbers with their links; ``None`` stands for a gap."""
    paginator: Paginator[Any] = page.paginator
    numbers = paginator.get_elided_page_range(page.number, on_each_side=2, on_ends=1)
    return [(number, query(number)) if isinstance(number, int) else (None, "") for number in numbers]

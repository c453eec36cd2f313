"""What goes on unchanged is told once."""

from notecast_runtime.news import News


def test_the_same_is_new_once_and_again_when_something_else_came_or_it_was_over() -> None:
    news = News()
    assert [news.is_new(what) for what in ("away", "away", "full", "away")] == [
        True,
        False,
        True,
        True,
    ]
    news.forget()
    assert news.is_new("away")


def test_all_parts_of_it_have_to_be_the_same() -> None:
    news = News()
    assert news.is_new("redis_away", "no answer")
    assert news.is_new("redis_refuses", "no answer")

"""Every kind of store: the first creator of a key wins, the others get its bytes, and listings are complete."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxx.store.base import Store
from tests.objects.kinds import Kind


def test_the_first_creator_wins_and_the_others_get_its_bytes(store: Store) -> None:
    assert store.read("a/b.json") is None
    assert store.create("a/b.json", b"one") is None
    assert store.create("a/b.json", b"two") == b"one"
    assert store.create("a/b.json", b"one") == b"one"
    assert store.read("a/b.json") == b"one"
    assert store.create("a/empty", b"") is None
    assert store.create("a/empty", b"x") == b""


def test_bytes_are_returned_unchanged(store: Store) -> None:
    for name, data in (("all", bytes(range(256)) * 8), ("lines", b"\r\n\n\r"), ("large", b"\x00\xff" * 1_000_000)):
        assert store.create(f"a/{name}", data) is None
        assert store.read(f"a/{name}") == data


def test_list_and_children_return_sorted_names(store: Store) -> None:
    for key in ("b/2", "b/1", "b/c/3", "a", "bb/x"):
        store.create(key, b"")
    assert store.list("b/") == ("b/1", "b/2", "b/c/3")
    assert store.list("") == ("a", "b/1", "b/2", "b/c/3", "bb/x", "store.json")
    assert store.children("") == ("a", "b", "bb", "store.json")
    assert store.children("b/") == ("1", "2", "c")
    assert store.list("nothing/") == store.children("nothing/") == ()


def test_walk_yields_what_list_returns_from_any_key_on(store: Store) -> None:
    for key in ("b/2", "b/1", "b-c", "b/c/3", "b.d", "b_e"):
        store.create(key, b"")
    assert tuple(store.walk("")) == store.list("") == ("b-c", "b.d", "b/1", "b/2", "b/c/3", "b_e", "store.json")
    assert tuple(store.walk("b/", after="b/1")) == ("b/2", "b/c/3")
    assert tuple(store.walk("b/", after="b/1x")) == ("b/2", "b/c/3")
    assert tuple(store.walk("b/", after="b/c/3")) == ()


@pytest.mark.parametrize("key", ["", "../x", "/etc/x", ".hidden", "a/../b", "a//b", "A"])
def test_a_key_never_leaves_the_store(store: Store, key: str) -> None:
    with pytest.raises(ValueError, match="is not a key"):
        store.create(key, b"")
    with pytest.raises(ValueError, match="is not a key"):
        store.read(key)
    with pytest.raises(ValueError, match="is not a folder"):
        store.list("../")
    with pytest.raises(ValueError, match="is not a folder"):
        store.children("../")


def test_two_stores_share_nothing(new_store: Callable[[], Store]) -> None:
    one, other = new_store(), new_store()
    assert one.create("a/b", b"1") is None
    assert other.read("a/b") is None
    assert other.list("a/") == ()
    assert other.create("a/b", b"2") is None


def test_an_object_of_another_client_is_visible_at_once(kind: Kind) -> None:
    """Absence is never cached, neither of objects nor in listings."""
    mine = kind.new()
    theirs = kind.again(mine)
    for number in range(3):
        key = f"a/{number}"
        assert mine.read(key) is None
        assert key not in mine.list("a/")
        assert theirs.create(key, b"theirs") is None
        assert mine.read(key) == b"theirs"
        assert mine.list("a/")[-1] == key
        assert mine.children("a/")[-1] == str(number)
        assert mine.create(key, b"mine") == b"theirs"

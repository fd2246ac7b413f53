from runners.live.outbox import Outbox
from runners.live.outlet import Piece


def piece(name: bytes, made_at: float, *, begins: bool = False) -> Piece:
    return Piece(name, begins, made_at)


def outbox() -> tuple[Outbox, list[int]]:
    behind: list[int] = []
    return Outbox(on_behind=behind.append), behind


async def test_pieces_come_out_in_order_and_then_none() -> None:
    box, behind = outbox()
    box.put(piece(b"a", 0.0, begins=True), 0.0)
    box.put(piece(b"b", 0.03), 0.03)
    box.end()
    got = [await box.get(), await box.get(), await box.get()]
    assert [each.data if each else None for each in got] == [b"a", b"b", None]
    assert behind == []


async def test_a_network_that_stalls_costs_pieces_up_to_the_next_segment() -> None:
    box, behind = outbox()
    box.put(piece(b"old", 0.0, begins=True), 0.0)
    box.put(piece(b"too late", 1.5), 1.5)
    box.put(piece(b"of the same segment", 1.6), 1.6)
    box.put(piece(b"new", 1.7, begins=True), 1.7)
    box.end()
    got = await box.get()
    assert got is not None
    assert got.data == b"new"
    assert await box.get() is None
    assert sum(behind) == 2


async def test_a_segment_that_begins_clears_what_is_old() -> None:
    box, behind = outbox()
    box.put(piece(b"old", 0.0, begins=True), 0.0)
    box.put(piece(b"new", 1.5, begins=True), 1.5)
    got = await box.get()
    assert got is not None
    assert got.data == b"new"
    assert behind == [1]

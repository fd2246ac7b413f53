"""What is remembered begins at a keyframe and is bounded."""

from server.media.gop import GopMemory
from tests.unit.trickle.media.samples import FRAME, aac, picture


def test_nothing_is_remembered_before_a_keyframe() -> None:
    memory = GopMemory()
    memory.add(picture(0), 1.0)
    memory.add(aac(0), 1.0)
    assert memory.began_at is None
    assert memory.packets() == []


def test_a_keyframe_makes_it_forget_what_was_before() -> None:
    memory = GopMemory()
    packets = [picture(0, key=True), aac(10), picture(FRAME, key=True), picture(2 * FRAME)]
    for number, packet in enumerate(packets):
        memory.add(packet, float(number))
    assert memory.packets() == packets[2:]
    assert memory.began_at == 2.0


def test_a_group_over_the_limit_is_forgotten_until_the_next_keyframe() -> None:
    memory = GopMemory(bytes_max=2000, packets_max=100)
    for number in range(10):
        memory.add(picture(number * FRAME, 500, key=number == 0), 0.0)
    assert memory.began_at is None
    memory.add(picture(11 * FRAME, key=True), 5.0)
    assert len(memory.packets()) == 1


def test_many_tiny_packets_are_bounded_too() -> None:
    memory = GopMemory(packets_max=5)
    for number in range(10):
        memory.add(picture(number * FRAME, 1, key=number == 0), 0.0)
    assert memory.packets() == []

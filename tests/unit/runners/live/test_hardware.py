from runners.live.hardware import Card, parse


def test_a_card_is_read_from_the_drivers_table() -> None:
    line = "GPU-1, NVIDIA L4, 23034, 22000, 8.9, 12, 3"
    (card,) = parse(line + "\n")
    assert card == Card("GPU-1", "NVIDIA L4", 23034 << 20, 22000 << 20, 8, 9, 12, 3)
    assert card.info()["major"] == 8
    assert card.stats()["utilization_compute"] == 12


def test_lines_that_make_no_sense_are_left_out() -> None:
    assert parse("NVIDIA-SMI has failed\n\nGPU-1, x, y\n") == []


def test_a_card_that_is_split_up_has_no_utilization() -> None:
    (card,) = parse("GPU-1, NVIDIA H200, 100, 50, 9.0, [N/A], [N/A]")
    assert (card.compute, card.memory) == (0, 0)

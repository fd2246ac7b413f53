from server.media.rtc.reception import Reception


def test_nothing_lost_is_reported_as_that() -> None:
    reception = Reception(1, 90_000)
    for n in range(100):
        reception.count((65_500 + n) & 0xFFFF, n * 3000, n / 30)
    block = reception.block(4.0)
    assert (block.lost, block.fraction_lost, block.jitter) == (0, 0, 0)
    assert block.highest_sequence == 65_599


def test_loss_is_reported_for_the_time_since_the_last_report() -> None:
    reception = Reception(1, 90_000)
    for n in range(100):
        if n % 4:
            reception.count(1000 + n, n * 3000, n / 30)
    reception.count(1100, 300_000, 3.4)
    assert reception.block(4.0).fraction_lost == 24 * 256 // 100
    for n in range(101, 200):
        reception.count(1000 + n, n * 3000, n / 30)
    block = reception.block(5.0)
    assert block.fraction_lost == 0
    assert block.lost == 24


def test_jitter_is_counted_per_picture_in_its_own_clock() -> None:
    reception = Reception(1, 90_000)
    for n in range(400):
        late_s = 0.01 if n % 2 else 0.0
        for part in range(3):
            reception.count(3 * n + part, n * 3000, n / 30 + late_s)
    assert 8 < reception.jitter_ms < 11


def test_the_last_sender_report_is_named_with_its_age() -> None:
    reception = Reception(1, 90_000)
    reception.count(1, 1, 0.0)
    assert reception.block(0.5).delay == 0
    reception.sender_report(0x0123456789ABCDEF, 1.0)
    block = reception.block(3.0)
    assert block.last_report == 0x456789AB
    assert block.delay == 2 * 65_536

from server.media.rtc.estimate import CEILING_BPS, FLOOR_BPS, START_BPS, LossEstimate


def test_the_limit_climbs_while_nothing_is_lost() -> None:
    estimate = LossEstimate()
    for _ in range(20):
        estimate.update(lost_share=0.0, arrived_bps=0.9 * estimate.limit_bps)
    assert estimate.limit_bps == CEILING_BPS


def test_a_sender_that_uses_little_is_not_promised_the_world() -> None:
    estimate = LossEstimate()
    for _ in range(50):
        estimate.update(lost_share=0.0, arrived_bps=500_000)
    assert estimate.limit_bps < START_BPS + 1_500_000


def test_heavy_loss_brings_the_limit_below_what_arrives() -> None:
    estimate = LossEstimate()
    assert estimate.update(lost_share=0.3, arrived_bps=1_000_000) < 1_000_000


def test_little_loss_changes_nothing() -> None:
    estimate = LossEstimate()
    assert estimate.update(lost_share=0.05, arrived_bps=2_000_000) == START_BPS


def test_the_limit_never_starves_the_sender() -> None:
    estimate = LossEstimate()
    for _ in range(50):
        estimate.update(lost_share=1.0, arrived_bps=0)
    assert estimate.limit_bps == FLOOR_BPS

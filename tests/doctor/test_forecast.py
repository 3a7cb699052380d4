"""What a connection can carry, against what iperf3 measured on the test link."""

import pytest

from include.doctor.forecast import Line, many_streams, one_stream

MB = 1_000_000
OCEAN = Line(0.25)
STOCK_BYTES, LONG_BYTES = 4_194_304, 268_435_456


@pytest.mark.parametrize(
    ("buffer_bytes", "control", "measured"),
    [(LONG_BYTES, "bbr", 116.0), (STOCK_BYTES, "cubic", 4.0), (STOCK_BYTES, "cubic", 2.0)],
)
def test_one_connection_is_forecast_within_a_factor_of_two_of_iperf3(buffer_bytes, control, measured):
    forecast = one_stream(OCEAN, buffer_bytes=buffer_bytes, control=control) / MB
    assert measured / 2 < forecast < measured * 2


def test_the_exact_values_at_250_ms():
    assert one_stream(OCEAN, buffer_bytes=64 * 1024**2, control="bbr") == 112.5 * MB
    assert one_stream(OCEAN, buffer_bytes=64 * 1024**2, control="cubic") == pytest.approx(2.5 * MB)
    assert one_stream(OCEAN, buffer_bytes=1 * MB, control="bbr") == 2 * MB
    assert one_stream(OCEAN, buffer_bytes=64 * 1024**2, control="reno") == pytest.approx(176_656 / 0.25)


def test_many_connections_add_up_until_the_line_is_full():
    assert many_streams(OCEAN, buffer_bytes=STOCK_BYTES, control="cubic", streams=16) == pytest.approx(40 * MB)
    assert many_streams(OCEAN, buffer_bytes=STOCK_BYTES, control="cubic", streams=64) == 112.5 * MB


def test_a_near_host_is_limited_by_nothing_but_the_line():
    assert one_stream(Line(0.001), buffer_bytes=100_000, control="reno") == 112.5 * MB


def test_loss_costs_cubic_more_than_it_costs_bbr():
    clean, lossy = Line(0.25, loss=1e-5), Line(0.25, loss=1e-3)
    assert one_stream(clean, buffer_bytes=LONG_BYTES, control="cubic") == pytest.approx(2.5 * MB * 10**0.75)
    assert one_stream(lossy, buffer_bytes=LONG_BYTES, control="cubic") == pytest.approx(2.5 * MB / 10**0.75)
    assert one_stream(lossy, buffer_bytes=LONG_BYTES, control="bbr") == 112.5 * MB


def test_without_loss_the_buffers_are_the_limit_whatever_the_congestion_control():
    assert one_stream(Line(0.25, loss=0), buffer_bytes=STOCK_BYTES, control="cubic") == STOCK_BYTES / 2 / 0.25

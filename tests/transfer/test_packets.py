"""Cutting a stream of SSH packets where they end."""

from hypothesis import given
from hypothesis import strategies as st

from include.transfer.packets import BUFFER_BYTES, _Packets


class Connection:
    def __init__(self) -> None:
        self.got: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.got.append(data)


def feed(data: bytes, cuts: list[int]) -> list[bytes]:
    connection = Connection()
    protocol = _Packets(connection)  # type: ignore[arg-type]
    position = 0
    while position < len(data):
        place = protocol.get_buffer(-1)
        length = min(cuts.pop() if cuts else 70_000, len(place), len(data) - position)
        place[:length] = data[position : position + length]
        protocol.buffer_updated(length)
        position += length
    return connection.got


@given(lengths=st.lists(st.integers(0, 40_000), max_size=80), cuts=st.lists(st.integers(1, 300_000), max_size=40))
def test_each_packet_comes_whole_and_alone_however_it_was_read(lengths, cuts):
    packets = [length.to_bytes(4, "big") + bytes(length + 16) for length in lengths]
    assert feed(b"".join(packets), cuts) == packets


def test_a_packet_larger_than_the_buffer_is_handed_on_in_parts_for_asyncssh_to_refuse():
    huge = (2 * BUFFER_BYTES).to_bytes(4, "big") + bytes(BUFFER_BYTES)
    assert b"".join(feed(huge, []))[:BUFFER_BYTES] == huge[:BUFFER_BYTES]

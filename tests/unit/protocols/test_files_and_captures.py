"""BinaryFILE, pcap, and the command that decodes them."""

import argparse
import gzip
import struct
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.commands import decode as command
from engine.errors import BadInput
from engine.protocols import binaryfile, itch, moldudp64, ouch, pcap
from engine.protocols import soupbintcp as soup
from engine.protocols.capture import decode_file
from engine.protocols.layout import WireError

MESSAGES = [itch.encode(itch.SystemEvent(0, 0, 1, "O")), itch.encode(itch.OrderDelete(1, 0, 2, 3))]
CLIENT, SERVER = (b"\x0a\0\0\1", 40_000), (b"\x0a\0\0\2", 8_000)


def ip(protocol: int, source: tuple, target: tuple, body: bytes, fragment: int = 0) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(body), 0, fragment, 64, protocol, 0)
    return head + source[0] + target[0] + body


def udp(payload: bytes) -> bytes:
    ports = struct.pack(">HHHH", SERVER[1], CLIENT[1], 8 + len(payload), 0)
    return ip(17, SERVER, CLIENT, ports + payload)


def tcp(sequence: int, payload: bytes, source: tuple = CLIENT, target: tuple = SERVER, flags: int = 0x18) -> bytes:
    head = struct.pack(">HHIIBBHHH", source[1], target[1], sequence, 0, 5 << 4, flags, 0, 0, 0)
    return ip(6, source, target, head + payload)


def ethernet(packet: bytes, *tags: int) -> bytes:
    vlans = b"".join(struct.pack(">HH", tag, 5) for tag in tags)
    return bytes(12) + vlans + b"\x08\x00" + packet + b"\xff" * 4  # a frame check sequence stands behind it


def capture(*frames: bytes, order: str = "<", magic: int = 0xA1B23C4D, link: int = 1) -> bytes:
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)
    return head + b"".join(struct.pack(order + "IIII", 7, 9, len(f), len(f)) + f for f in frames)


def found(path: Path, raw: bytes) -> list[tuple[str, str, str]]:
    path.write_bytes(raw)
    return [(one.protocol, one.name, one.reason) for one in decode_file(path)]


@given(parts=st.lists(st.binary(min_size=1, max_size=80), max_size=20), packed=st.booleans(), mark=st.booleans())
def test_a_file_gives_back_the_messages_written(
    tmp_path_factory: pytest.TempPathFactory, parts: list[bytes], packed: bool, mark: bool
) -> None:
    path = tmp_path_factory.mktemp("file") / ("day.itch.gz" if packed else "day.itch")
    assert binaryfile.write(path, parts, end_mark=mark) == len(parts)
    assert list(binaryfile.messages(binaryfile.load(path))) == parts


@pytest.mark.parametrize("cut", [1, 2, 20])
def test_a_cut_file_gives_what_is_whole_and_then_says_so(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "day.itch"
    binaryfile.write(path, MESSAGES)
    path.write_bytes(path.read_bytes()[:-cut])
    assert found(path, path.read_bytes()) == [("itch", "SystemEvent", ""), ("binaryfile", "Packet", "truncated")]


def test_a_damaged_gzip_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "day.gz"
    path.write_bytes(gzip.compress(b"x" * 10_000)[:-9])
    with pytest.raises(WireError, match="truncated"):
        binaryfile.load(path)


def test_an_empty_message_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(WireError, match="out_of_range"):
        binaryfile.write(tmp_path / "day.itch", [b""])


@pytest.mark.parametrize(
    "raw",
    [
        capture(ethernet(udp(moldudp64.encode("S", 1, MESSAGES)))),
        capture(ethernet(udp(moldudp64.encode("S", 1, MESSAGES)), 0x8100, 0x88A8), order=">"),
        capture(udp(moldudp64.encode("S", 1, MESSAGES)), magic=0xA1B2C3D4, link=101),
        gzip.compress(capture(ethernet(udp(moldudp64.encode("S", 1, MESSAGES))))),
    ],
    ids=["nanoseconds", "big-endian with VLAN tags", "raw IP", "gzipped"],
)
def test_itch_is_found_in_a_capture(tmp_path: Path, raw: bytes) -> None:
    assert found(tmp_path / "x.pcap", raw) == [
        ("itch", "SystemEvent", ""),
        ("itch", "OrderDelete", ""),
        ("moldudp64", "Packet", ""),
    ]


def test_timestamps_are_in_ns_whatever_the_file_counts_in() -> None:
    for magic, wanted in ((0xA1B23C4D, 7_000_000_009), (0xA1B2C3D4, 7_000_009_000)):
        (unit,) = pcap.read(capture(ethernet(udp(b"payload")), magic=magic), Counter())
        assert unit.ts == wanted


def test_tcp_segments_are_put_in_order_and_repeats_dropped(tmp_path: Path) -> None:
    order = soup.encode(soup.UNSEQUENCED, ouch.encode(ouch.EnterOrder(1, "B", 100, "KO", 400_000)))
    cancel = soup.encode(soup.UNSEQUENCED, ouch.encode(ouch.CancelOrder(1)))
    stream, first = order + cancel, (1 << 32) - 10  # the sequence number wraps
    parts = [(0, 20), (30, len(stream)), (0, 20), (10, 30)]
    syn = ethernet(tcp(first - 1, b"", flags=0x02))
    frames = [ethernet(tcp((first + a) % (1 << 32), stream[a:b])) for a, b in parts]
    answer = ethernet(tcp(5, soup.encode(soup.SERVER_HEARTBEAT), SERVER, CLIENT))
    names = [name for _, name, _ in found(tmp_path / "x.pcap", capture(syn, *frames, answer))]
    assert names == ["EnterOrder", "Unsequenced", "CancelOrder", "Unsequenced", "ServerHeartbeat"]


def test_bytes_that_a_capture_lacks_are_said(tmp_path: Path) -> None:
    cancel = soup.encode(soup.UNSEQUENCED, ouch.encode(ouch.CancelOrder(1)))
    frames = [ethernet(tcp(1, cancel[:5])), ethernet(tcp(9, cancel[8:]))]
    assert found(tmp_path / "x.pcap", capture(*frames))[-1] == ("soupbintcp", "Packet", "truncated")


def test_what_is_not_udp_or_tcp_is_counted(tmp_path: Path) -> None:
    skipped: Counter[str] = Counter()
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    icmp, fragment = ethernet(ip(1, CLIENT, SERVER, bytes(8))), ethernet(ip(17, CLIENT, SERVER, bytes(8), 0x2000))
    cut_short = ethernet(udp(b"x" * 100))[:60]
    (tmp_path / "x.pcap").write_bytes(capture(arp, icmp, fragment, cut_short))
    assert list(decode_file(tmp_path / "x.pcap", skipped)) == []
    assert skipped == {"not_ipv4": 1, "other_transport": 1, "fragment": 1, "cut_short": 1}


def test_bad_packets_are_named_by_reason(tmp_path: Path) -> None:
    datagram = moldudp64.encode("S", 1, [b"?", b"DD"])
    raw = capture(ethernet(udp(b"short")), ethernet(udp(datagram)), ethernet(tcp(1, b"\0\0")))
    assert [reason for _, _, reason in found(tmp_path / "x.pcap", raw) if reason] == [
        "truncated",
        "unknown_type",
        "wrong_length",
        "wrong_length",
    ]
    assert found(tmp_path / "x.pcap", raw[:-3])[-1] == ("pcap", "Packet", "truncated")


@given(st.binary(max_size=200), st.integers(0, 3))
def test_any_bytes_in_a_capture_are_taken_without_a_crash(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, shape: int
) -> None:
    shapes = (capture() + raw, capture(raw), capture(ethernet(raw)), capture(ethernet(udp(raw)), ethernet(tcp(1, raw))))
    path = tmp_path_factory.mktemp("fuzz") / "x.pcap"
    path.write_bytes(shapes[shape])
    list(decode_file(path))


def run_decode(path: Path, *, jsonl: bool = False) -> dict:
    return command.run(argparse.Namespace(file=path, jsonl=jsonl))


def test_the_command_counts_and_prints_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    binaryfile.write(tmp_path / "day.itch", [*MESSAGES, MESSAGES[1]])
    result = run_decode(tmp_path / "day.itch", jsonl=True)
    assert result["counts"] == {"itch.OrderDelete": 2, "itch.SystemEvent": 1}
    assert result["ok"] is True
    assert result["messages"] == 3
    assert '"order_reference_number":3' in capsys.readouterr().out.splitlines()[1]


def test_the_command_says_what_is_bad_and_refuses_a_missing_file(tmp_path: Path) -> None:
    binaryfile.write(tmp_path / "day.itch", [b"?"])
    result = run_decode(tmp_path / "day.itch")
    assert (result["ok"], result["bad"]) == (False, {"unknown_type": 1})
    with pytest.raises(BadInput, match="unreadable"):
        run_decode(tmp_path / "missing")

"""Mutated MoldUDP64 streams through the receiver, and mutated bytes through every other decoder of the feed."""

import random
from collections import Counter
from collections.abc import Callable

from fuzz_messages import every_type, trading_day

from engine.protocols import binaryfile, glimpse, itch, moldudp64, ouch, pcap, soupbintcp
from engine.protocols import moldudp64_receiver as receiving
from engine.protocols import soupbintcp_session as sessions
from engine.protocols.late_join import LateJoiner, Settings
from engine.protocols.layout import WireError
from engine.protocols.moldudp64_sender import RetransmissionStore, Sender
from memory_stream import MemoryStream

MS = 1_000_000
DAY = "20130102"
PACKETS = 400  # of one stream
# What becomes of a datagram in the end, by the receiver's counters: each adds one to exactly one of them.
REFUSED = ("truncated", "wrong_length", "past_session", "foreign_session", "implausible_sequence", "doubtful_sequence")
HEARD = ("first", "duplicates", "heartbeats")


# ---- streams ------------------------------------------------------------------------------------------------


def cut(raw: bytes, rng: random.Random) -> bytes:
    return raw[: rng.randrange(len(raw))]


def lengthened(raw: bytes, rng: random.Random) -> bytes:
    return raw + rng.randbytes(rng.randint(1, 20))


def miscounted(raw: bytes, rng: random.Random) -> bytes:
    count = int.from_bytes(raw[18:20], "big")
    return raw[:18] + ((count + rng.randint(1, 0xFF00)) & 0xFFFF).to_bytes(2, "big") + raw[20:]


def random_bytes(raw: bytes, rng: random.Random) -> bytes:
    return rng.randbytes(rng.randrange(80))


def of_another_session(raw: bytes, rng: random.Random) -> bytes:
    return rng.choice([b"20130101  ", b"gibberish ", rng.randbytes(10)]) + raw[10:]


def leaping(raw: bytes, rng: random.Random) -> bytes:
    sequence = int.from_bytes(raw[10:18], "big") + rng.randrange(70_000, 1 << rng.randint(17, 62))
    return raw[:10] + sequence.to_bytes(8, "big") + raw[18:]


def flipped(raw: bytes, rng: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(rng.randint(1, 8)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


TELLING: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    cut,
    lengthened,
    miscounted,
    random_bytes,
    of_another_session,
    leaping,
)


def stream_of(messages: list[bytes], store: RetransmissionStore, rng: random.Random) -> list[bytes]:
    sender, datagrams, position = Sender(DAY, store), [], 0
    while position < len(messages):
        size = rng.randint(1, 6)
        datagrams += sender.send(messages[position : position + size], 0)
        position += size
        if rng.random() < 0.05:
            datagrams.append(moldudp64.encode_heartbeat(DAY, sender.next_sequence))
    return [*datagrams, sender.end(0)]


def arrivals(datagrams: list[bytes], rng: random.Random, wild: bool, counts: Counter[str]) -> list[tuple]:
    """(time, line, datagram): two lines that lose, double, delay, replay and mutate."""
    found = [(0.0, 0, datagrams[0])]  # it begins with a packet of the session itself
    for index, datagram in enumerate(datagrams):
        for line in (0, 1):
            if rng.random() < 0.2:
                counts["lost"] += 1
            else:
                late = rng.uniform(0, 8) if rng.random() < 0.3 else 0.0
                counts["shuffled"] += late > 1
                found.append((index + late, line, datagram))
            if rng.random() < 0.15:
                counts["doubled"] += 1
                found.append((index + rng.uniform(0, 3), line, datagram))
            if rng.random() < 0.15:
                counts["replayed"] += 1
                found.append((index, line, datagrams[rng.randrange(index + 1)]))
            mutation = flipped if wild else rng.choice(TELLING)
            counts[mutation.__name__] += 1
            found.append((index, line, mutation(datagram, rng)))
    return sorted(found, key=lambda arrival: arrival[0])


MUTATED = ("shuffled", "doubled", "replayed", "flipped", *(mutation.__name__ for mutation in TELLING))


def one_stream(messages: list[bytes], rng: random.Random, wild: bool, counts: Counter[str]) -> tuple[Counter, list]:
    """(the receiver's counters, failures) of one stream."""
    store, receiver = RetransmissionStore(), receiving.Receiver(receiving.Settings(give_up=500 * MS))
    happened, heard, now = [], 0, 0
    for at, line, datagram in arrivals(stream_of(messages, store, rng), rng, wild, counts):
        now = int(at * MS)
        happened += receiver.on_datagram(datagram, now, line)
        heard += 1
        for request in receiver.requests(now):
            for answer in store.respond(request):
                happened += receiver.on_datagram(answer, now, 2)
                heard += 1
    for _ in range(3_000):
        if any(isinstance(event, receiving.SessionEnded) and event.session == DAY for event in happened):
            break
        now += 10 * MS
        happened += receiver.on_time(now)
        for datagram in (answer for request in receiver.requests(now) for answer in store.respond(request)):
            happened += receiver.on_datagram(datagram, now, 2)
            heard += 1
        if now // MS % 500 < 10:
            happened += receiver.on_datagram(moldudp64.encode_end_of_session(DAY, len(messages) + 1), now)
            heard += 1
    totals = Counter({name: receiver.counters[name] for name in REFUSED})
    totals += Counter({name: sum(line[name] for line in receiver.lines.values()) for name in HEARD})
    failures = [] if sum(totals.values()) == heard else [f"{heard} packets, but {dict(totals)}"]
    whole = [
        message
        for event in happened
        if isinstance(event, receiving.Data) and event.session == DAY
        for message in moldudp64.unframe(event.block, event.count)
    ]
    if not wild and whole != messages:
        failures.append(f"{len(whole)} messages of {len(messages)}, or others")
    return totals, failures


def run_streams(count: int, seed: int) -> dict:
    """At least `count` mutated packets; every other stream is wild: flipped bits anywhere, which may pass as good."""
    rng, counts, totals = random.Random(seed), Counter[str](), Counter[str]()
    failures, streams = list[str](), 0
    messages = trading_day(3 * PACKETS, rng, 0, 1)
    while sum(counts[name] for name in MUTATED) < count:
        found, wrong = one_stream(messages, rng, streams % 2 == 1, counts)
        streams += 1
        totals += found
        failures += [f"stream {streams}: {each}" for each in wrong]
    return {
        "mutated": sum(counts[name] for name in MUTATED),
        "failures": failures[:20],
        "streams": streams,
        "mutations": counts,
        "receiver": totals,
    }


# ---- every other decoder ------------------------------------------------------------------------------------


def soup_packets() -> list[bytes]:
    login = soupbintcp.encode_login(soupbintcp.Login("ada", "secret", "", 1))
    kinds = (soupbintcp.SERVER_HEARTBEAT, soupbintcp.CLIENT_HEARTBEAT, soupbintcp.END_OF_SESSION)
    payloads = [soupbintcp.encode(kind, b"payload") for kind in (soupbintcp.SEQUENCED, soupbintcp.UNSEQUENCED)]
    return [login, soupbintcp.encode_login_accepted(DAY, 1), *payloads, *(soupbintcp.encode(kind) for kind in kinds)]


def ouch_messages(rng: random.Random, inbound: bool) -> list[bytes]:
    """Random bytes behind each type and length; appendages are whatever follows."""
    found = []
    for layout in (ouch.INBOUND_LAYOUTS if inbound else ouch.OUTBOUND_LAYOUTS).values():
        raw = layout.cls.TYPE.encode() + rng.randbytes(layout.size - 1)
        found += [raw + b"\0\0", raw + b"\0\3\2\1A", raw]
    return found


def same(decode: Callable, encode: Callable) -> Callable[[bytes], str]:
    """Decodes; what is accepted must encode to the same bytes."""

    def check(raw: bytes) -> str:
        again = encode(decode(raw))
        if again != raw:
            raise AssertionError(f"{raw.hex()} became {again.hex()}")
        return "accepted"

    return check


def client_session(raw: bytes) -> str:
    client = sessions.ClientSession("ada", "secret")
    client.connect(0)
    happened = client.receive(soupbintcp.encode_login_accepted(DAY, 1) + raw, 0)
    return f"lost_{happened[-1].reason}" if isinstance(happened[-1], sessions.Lost) else "accepted"


def server_session(raw: bytes) -> str:
    server = sessions.ServerSession(lambda *_: MemoryStream(DAY), 0)
    happened = server.receive(raw, 0)
    return f"lost_{happened[-1].reason}" if happened and isinstance(happened[-1], sessions.Lost) else "accepted"


def glimpse_client(raw: bytes) -> str:
    client = glimpse.Client("ada", "secret")
    client.connect(0)
    answer = client.receive(soupbintcp.encode_login_accepted(DAY, 1) + raw, 0) or client.connection_lost()
    return answer.reason if isinstance(answer, glimpse.Failed) else "accepted"


def late_joiner(raw: bytes) -> str:
    joiner = LateJoiner("ada", "secret", Settings(attempts=1))
    joiner.on_datagram(moldudp64.encode(DAY, 30_000, [b"x"]), 0)
    joiner.connected(0)
    joiner.receive(soupbintcp.encode_login_accepted(DAY, 1) + raw, 0)
    joiner.connection_lost(0)
    return next(iter(joiner.failures), "accepted")


def request(raw: bytes) -> str:
    store = RetransmissionStore()
    Sender(DAY, store).send([b"one", b"two"], 0)
    store.respond(raw)
    return next(iter(store.counters))


def drained(read: Callable) -> Callable[[bytes], str]:
    def check(raw: bytes) -> str:
        for _ in read(raw):
            continue
        return "accepted"

    return check


def targets(rng: random.Random) -> list[tuple[str, list[bytes], Callable[[bytes], str]]]:
    """(name, good inputs, what takes mutated ones and says how they came out)."""
    itch_messages = every_type(rng)
    spin = soupbintcp.encode(soupbintcp.SEQUENCED, itch_messages[0])
    spin += soupbintcp.encode(soupbintcp.SEQUENCED, glimpse.encode_end_of_snapshot(40_000))
    capture = b"\xd4\xc3\xb2\xa1\2\0\4\0" + bytes(8) + b"\xff\xff\0\0\1\0\0\0"
    capture += bytes(8) + b"\x2a\0\0\0\x2a\0\0\0" + bytes(12) + b"\x08\0\x45\0\0\x1c" + bytes(5) + b"\x11" + bytes(18)
    return [
        ("itch", itch_messages, same(itch.decode, itch.encode)),
        ("ouch_inbound", ouch_messages(rng, True), same(ouch.decode_inbound, ouch.encode)),
        ("ouch_outbound", ouch_messages(rng, False), same(ouch.decode_outbound, ouch.encode)),
        ("soupbintcp_client", soup_packets(), client_session),
        ("soupbintcp_server", soup_packets(), server_session),
        ("glimpse", [spin], glimpse_client),
        ("late_join", [spin], late_joiner),
        ("request", [moldudp64.encode_request(DAY, 1, 2)], request),
        ("binaryfile", [moldudp64.frame(itch_messages)], drained(binaryfile.messages)),
        ("pcap", [capture], drained(lambda raw: pcap.read(memoryview(raw), Counter()))),
    ]


def run_protocols(count: int, seed: int) -> dict:
    rng, outcomes, failures = random.Random(seed), dict[str, Counter[str]](), list[str]()
    mutations = (flipped, cut, lengthened, random_bytes)
    decoders = targets(rng)
    for number in range(count):
        name, inputs, check = decoders[number % len(decoders)]
        raw = rng.choice(mutations)(rng.choice(inputs), rng)
        try:
            outcome = check(raw)
        except WireError as error:
            outcome = error.code
        except Exception as error:  # whatever it is, it is what is looked for here
            outcome = type(error).__name__
            failures.append(f"{name}: {error!r} of {raw.hex()}")
        outcomes.setdefault(name, Counter())[outcome] += 1
    return {"mutated": count, "failures": failures[:20], "outcomes": outcomes}

from random import Random

from engine.simulation.latency import Delay
from engine.virtual.agenda import SECOND, Agenda
from engine.virtual.wires import VirtualConnection, VirtualLine

DELAY = Delay(1_000.0, 0.0)  # a millisecond


class Venue:
    def __init__(self) -> None:
        self.heard, self.lost = b"", False

    def connection_made(self, transport) -> None:
        self.transport = transport

    def data_received(self, chunk: bytes) -> None:
        self.heard += chunk

    def connection_lost(self, error) -> None:
        self.lost = True


class World:
    def __init__(self) -> None:
        self.agenda, self.venue = Agenda(), Venue()
        self.connection = VirtualConnection(self.agenda, Random(1), DELAY, self.venue, lambda: None, lambda: None)
        self.core = self.connection.core_end

    def pass_time(self, milliseconds: float) -> None:
        self.agenda.run(self.agenda.now + int(milliseconds * 1e6))

    def core_sends(self, content: bytes) -> None:
        self.core.sendall(content)
        self.connection.send(self.connection.read())


def test_bytes_arrive_after_the_delay_in_their_order():
    world = World()
    for index in range(100):
        world.core_sends(bytes([index]) * 3)
    world.pass_time(0.9)
    assert world.venue.heard == b""
    world.pass_time(0.2)
    assert world.venue.heard == b"".join(bytes([index]) * 3 for index in range(100))


def test_a_cut_loses_what_is_under_way_and_the_venue_notices_later():
    world = World()
    world.core_sends(b"order")
    world.venue.transport.write(b"report")
    world.connection.cut(5_000_000)
    assert world.core.recv(100) == b""
    world.pass_time(4)
    assert (world.venue.heard, world.venue.lost) == (b"", False)
    world.pass_time(2)
    assert world.venue.lost


def test_what_was_written_before_a_close_still_arrives():
    world = World()
    world.venue.transport.write(b"report")
    world.venue.transport.close()
    world.pass_time(2)
    assert world.core.recv(100) == b"report"
    assert world.core.recv(100) == b""


def test_what_the_core_sent_before_it_died_arrives_before_the_end():
    world = World()
    world.core_sends(b"order")
    world.core.close()
    world.connection.send(world.connection.read())
    world.pass_time(3)
    assert (world.venue.heard, world.venue.lost) == (b"order", True)


def test_a_venue_that_does_not_read_hears_it_all_later():
    world = World()
    world.venue.transport.pause_reading()
    world.core_sends(b"one")
    world.core_sends(b"two")
    world.pass_time(5)
    assert world.venue.heard == b""
    world.venue.transport.resume_reading()
    assert world.venue.heard == b"onetwo"


def test_a_request_from_a_line_goes_to_the_venue_and_a_full_line_loses_datagrams():
    asked = []
    line = VirtualLine(asked.append)
    line.core_end.sendto(b"request", ("127.0.0.1", 9))
    assert asked == [b"request"]
    for _ in range(10_000):
        line.deliver(b"packet")
    line.close()
    line.core_end.close()


def test_things_happen_in_the_order_of_their_times_and_plans():
    agenda, happened = Agenda(), []
    for name, delay in (("c", 2), ("a", 1), ("b", 1)):
        agenda.after(delay, lambda name=name: happened.append((name, agenda.now)))
    start = agenda.now
    agenda.run(start + SECOND)
    assert happened == [("a", start + 1), ("b", start + 1), ("c", start + 2)]

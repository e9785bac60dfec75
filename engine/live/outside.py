"""What a core meets outside of its process: the host's, unless a simulation hands in its own."""

import time
from dataclasses import dataclass

from engine.core.clock import HostClocks
from engine.live.connection import Connect, connect_tcp
from engine.live.feed_lines import Bind, bind_udp
from engine.live.spare import LOCAL_DISK, Disk


@dataclass(frozen=True)
class Outside:
    clocks: HostClocks = time
    disk: Disk = LOCAL_DISK
    bind: Bind = bind_udp
    connect: Connect = connect_tcp


HOST = Outside()

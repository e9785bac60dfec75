"""Ports come from the environment, and a taken one is refused by the name of its variable."""

import socket

import pytest

from control.local.failures import Refusal
from control.local.ports import LOOPBACK, PORTS, allocate, free_port, wanted_port


def test_zero_means_any_free_port_and_no_port_is_given_twice() -> None:
    found = allocate(dict.fromkeys(PORTS, "0"))
    assert found.keys() == PORTS.keys()
    assert len(set(found.values())) == len(PORTS)
    assert all(1024 <= port <= 65535 for port in found.values())


@pytest.mark.parametrize("variable", PORTS)
def test_a_taken_port_is_refused_by_the_name_of_its_variable(variable: str) -> None:
    kind = PORTS[variable][1]
    with socket.socket(socket.AF_INET, kind) as other:
        other.bind((LOOPBACK, 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(Refusal) as refused:
            allocate({**dict.fromkeys(PORTS, "0"), variable: str(taken)})
    assert refused.value.as_json()["error"]["field"] == variable
    assert refused.value.as_json()["error"]["value"] == str(taken)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize("text", ["http", "-1", "65536", "80.5"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(Refusal, match="PORT_WEB"):
        wanted_port("PORT_WEB", {"PORT_WEB": text})


def test_a_wanted_port_is_given_as_it_is() -> None:
    port = free_port()
    assert allocate({"PORT_WEB": str(port)}, ["PORT_WEB"]) == {"PORT_WEB": port}

"""The operating system's refusal, in words that name the setting."""

import errno

import pytest

from server.edge.listen import opening
from server.errors import AddressInUse, ConfigError


def test_a_taken_port_names_itself_and_its_setting() -> None:
    with (
        pytest.raises(AddressInUse, match=r"port 1935 .* \(gateway.rtmp.port\)") as caught,
        opening("127.0.0.1", 1935, setting="gateway.rtmp.port"),
    ):
        raise OSError(errno.EADDRINUSE, "taken")
    assert "--gateway.rtmp.port 1936" in caught.value.advice


def test_an_address_of_another_machine_is_a_wrong_setting() -> None:
    with (
        pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1:80"),
        opening("192.0.2.1", 80, setting="gateway.http.host"),
    ):
        raise OSError(errno.EADDRNOTAVAIL, "not here")

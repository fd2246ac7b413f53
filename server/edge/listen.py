"""Opening ports, and saying in one line whose fault it is when that fails."""

import errno
from collections.abc import Generator
from contextlib import contextmanager

from server.errors import AddressInUse, ConfigError


@contextmanager
def opening(host: str, port: int, *, setting: str) -> Generator[None, None, None]:
    """Turns the operating system's refusal of a port into an error that names the setting.

    Raises:
        AddressInUse: Another program has the port.
        ConfigError: The address cannot be used on this machine.
    """
    try:
        yield
    except OSError as error:
        # uvloop hides the number of a UDP port's refusal behind an error of its own.
        cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
        if cause.errno == errno.EADDRINUSE:
            raise AddressInUse(
                f"port {port} on {host} is in use ({setting})",
                remedy=f"stop the other program, or choose another port: --{setting} {port + 1}",
            ) from None
        raise ConfigError(
            f"cannot listen on {host}:{port} ({setting}): {cause.strerror or error}"
        ) from None

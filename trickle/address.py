"""Where a channel is, read from its URL. Used by `trickle.client`."""

import ssl as ssl_module
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit


@dataclass(frozen=True, slots=True)
class Address:
    """Where a channel is.

    Attributes:
        host: To connect to, and port.
        path: Of the channel, without a slash at its end.
        authority: As the Host header says it.
        token: That stood in the URL's query, where servers read it too; we send it as a header.
        tls: None for plain HTTP.
    """

    host: str
    port: int
    path: str
    authority: str
    tls: ssl_module.SSLContext | None
    token: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, url: str, ssl: ssl_module.SSLContext | None) -> "Address":
        """Reads a channel's URL.

        Raises:
            ValueError: It is no http or https URL with a host.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no http:// or https:// URL of a channel")
        tls: ssl_module.SSLContext | None = None
        if parts.scheme == "https":
            tls = ssl or ssl_module.create_default_context()
        return cls(
            host=parts.hostname,
            port=parts.port or (443 if tls else 80),
            path=quote(parts.path.rstrip("/"), safe="/%-._~!$&'()*+,;=:@"),
            authority=parts.netloc.rpartition("@")[2],
            tls=tls,
            token=next((v for k, v in parse_qsl(parts.query) if k == "token"), None),
        )

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

"""Parses and compares the addresses of servers, and finds the proxies for them."""

import base64
import urllib.parse
import urllib.request
from typing import NamedTuple, Optional

_PORTS = {"http": 80, "https": 443}
# The characters that a path may have unescaped (RFC 3986, section 3.3), and the percent sign.
_PATH = "/%:@!$&'()*+,;=~"


class Address(NamedTuple):
    """An `http` or `https` address, without a name and a password."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def origin(self):
        return self[:3]

    @property
    def authority(self):
        """Returns the host and the port as they stand in the header `Host`."""
        host = "[%s]" % self.host if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else "%s:%d" % (host, self.port)

    def below(self, name):
        """Returns the address of a name in this folder."""
        return self._replace(path=self.path + name)

    def folder(self, name):
        """Returns the folder in which this is the address of `name`, or `None`."""
        is_there = self.path.endswith("/" + name)
        return self._replace(path=self.path[: -len(name)]) if is_there else None

    def redirected(self, location):
        """Returns the address that a redirect names, or `None` if the client must not follow it."""
        try:
            target, _ = parse(urllib.parse.urljoin(str(self), location))
        except ValueError:
            return None
        return None if self.scheme == "https" and target.scheme == "http" else target

    def shares_secrets_with(self, other):
        """Returns true if a secret for this address may be sent to the other one.

        The other one must be the same server, or its port 443 for HTTPS after port 80 for HTTP.
        """
        is_upgrade = (other.scheme, other.port) == ("https", 443)
        return self.origin == other.origin or (
            is_upgrade and (self.scheme, self.host, self.port) == ("http", other.host, 80)
        )

    def __str__(self):
        return "%s://%s%s" % (self.scheme, self.authority, self.path)


class Proxy(NamedTuple):
    """A proxy, and the value of the header with its password."""

    host: str
    port: int
    authorization: Optional[str]


def parse(url):
    """Returns the address in a text, and the credentials in it as the value of a header."""
    if not isinstance(url, str):
        raise ValueError("the server's address is text, not a %s" % type(url).__name__)
    try:
        parts = urllib.parse.urlsplit(url.strip())
        host, port = parts.hostname, parts.port
        host = host if host is None or ":" in host else host.encode("idna").decode()
    except ValueError:
        # The message of the exception may contain the password.
        raise ValueError("the server's address cannot be read") from None
    if parts.scheme not in _PORTS or not host:
        raise ValueError("the server's address begins with http:// or https:// and a host")
    if parts.query:
        raise ValueError("the server's address is a folder, without a question mark")
    authorization = None
    if parts.username is not None or parts.password is not None:
        authorization = basic(parts.username or "", parts.password or "")
    path = urllib.parse.quote(parts.path or "/", safe=_PATH)
    port = _PORTS[parts.scheme] if port is None else port
    return Address(parts.scheme, host, port, path), authorization


def basic(user, password):
    """Returns the value of the header for a name and a password from an address (RFC 7617)."""
    pair = "%s:%s" % (urllib.parse.unquote(user), urllib.parse.unquote(password))
    return "Basic " + base64.b64encode(pair.encode()).decode()


def bearer(token):
    """Returns the value of the header for a token (RFC 6750)."""
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        # The message does not show the token, because it is a secret.
        raise ValueError("the token is not text of printable ASCII characters")
    return "Bearer " + token


def proxy_for(address):
    """Returns the proxy for an address, or `None`.

    `HTTP_PROXY` and `HTTPS_PROXY` name it, unless `NO_PROXY` has the address.
    """
    named = urllib.request.getproxies().get(address.scheme)
    host = "%s:%d" % (address.host, address.port)
    if not named or urllib.request.proxy_bypass(host):
        return None
    try:
        parts = urllib.parse.urlsplit(named if "://" in named else "http://" + named)
        host, port = parts.hostname, parts.port or 80
    except ValueError:
        host = None
    if not host or parts.scheme != "http":
        raise ValueError("the proxy for %s does not begin with http://" % address.scheme)
    has_password = parts.username is not None
    return Proxy(host, port, basic(parts.username, parts.password or "") if has_password else None)

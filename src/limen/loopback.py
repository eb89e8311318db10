"""Loopback: the names and addresses by which a machine reaches itself, and nobody else it."""

from ipaddress import IPv6Address, ip_address


def is_loopback(host: str | None) -> bool:
    """Return whether a host, as it stands in a URL but without brackets, is this machine itself."""
    if host is None:
        return False
    if host == "localhost" or host.endswith(".localhost"):  # RFC 6761, section 6.3
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback

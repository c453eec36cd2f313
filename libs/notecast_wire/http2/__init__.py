"""HTTP/2 without I/O: bytes in, events and bytes out."""

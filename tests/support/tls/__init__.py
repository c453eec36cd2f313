"""A certificate of its own authority, for `localhost` and `127.0.0.1`, valid until 2120.

For tests only: the key is no secret.
"""

import ssl
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("certificate.pem")
KEY = Path(__file__).with_name("key.pem")


def server_context() -> ssl.SSLContext:
    """For a server with that certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, KEY)
    return context

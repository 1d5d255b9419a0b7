"""Certificates for the tests, and a listener that serves them."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def now() -> datetime:
    return datetime.now(timezone.utc).replace(microsecond=0)


class Authority:
    """An authority that signs whatever a test wants."""

    def __init__(self, days: float = 3650, text: str = "Fleet") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = name(text)
        self.expires = now() + timedelta(days=days)
        self.certificate = self._sign(self._name, self._key.public_key(), self.expires, ca=True)
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        expires: datetime,
        *addresses: str,
        ca: bool = False,
    ) -> x509.Certificate:
        names = [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now(), expires) - timedelta(days=1))
            .not_valid_after(expires)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def issue(self, folder: Path, *addresses: str, days: float = 365) -> Path:
        """Write certificate and key of a listener at these addresses into one file, and return its path."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(name("gateway"), key.public_key(), now() + timedelta(days=days), *addresses)
        path = folder / f"{certificate.serial_number}.pem"
        path.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return path


@contextmanager
def served(certificate: Path, address: str = "127.0.0.1") -> Iterator[int]:
    """Serve a certificate at an address, to whoever connects, and give the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        thread = threading.Thread(target=greet, args=(listener, context))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def greet(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _address = listener.accept()
        except OSError:
            return
        try:
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            connection.close()

"""Sending a mail through a relay."""

import smtplib
import ssl
from email.message import EmailMessage

import msgspec

TIMEOUT_S = 20.0


class Mail(msgspec.Struct, frozen=True):
    """Attributes:
    to, sender: addresses.   host, port: of the relay, which must take mail without a login.
    starttls: whether the connection is secured before anything is said.
    """

    to: str
    sender: str
    host: str
    port: int
    starttls: bool


def send(mail: Mail, subject: str, text: str) -> None:
    """Send one mail and wait until the relay has taken it.

    Raises:
        OSError: it was not taken (smtplib's own errors are of that kind).
    """
    message = EmailMessage()
    message["To"], message["From"], message["Subject"] = mail.to, mail.sender, subject
    message.set_content(text)
    # Named, for finding out this machine's own name can take a resolver many seconds.
    with smtplib.SMTP(mail.host, mail.port, local_hostname="localhost", timeout=TIMEOUT_S) as relay:
        if mail.starttls:
            relay.starttls(context=ssl.create_default_context())
        relay.send_message(message)
